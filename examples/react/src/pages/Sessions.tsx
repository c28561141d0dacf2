import { useSuspenseQuery } from "@apollo/client/react";
import { useMutate } from "../apollo";
import { deviceName } from "../deviceName";
import { graphql } from "../gql";
import { inWords } from "../methods";
import { done, problem, unhandled } from "../results";
import { session } from "../session";
import { Form } from "../ui/Form";
import { Card, Page } from "../ui/Page";
import { When } from "../ui/When";

const MySessions = graphql(`
  query MySessions {
    me {
      id
      sessions(first: 100) {
        nodes {
          id
          isCurrent
          userAgent
          ipAddress
          lastUsedAt
          methods
        }
      }
    }
  }
`);

const RevokeSession = graphql(`
  mutation RevokeSession($input: RevokeSessionInput!) {
    outcome: revokeSession(input: $input) {
      __typename
      ...Problem
    }
  }
`);

const LogoutEverywhere = graphql(`
  mutation LogoutEverywhere {
    outcome: logoutEverywhere {
      __typename
    }
  }
`);

export function Sessions() {
  const { data, refetch } = useSuspenseQuery(MySessions, { fetchPolicy: "cache-and-network" });
  const mutate = useMutate();

  async function revoke(sessionId: string) {
    const { outcome } = await mutate({ mutation: RevokeSession, variables: { input: { sessionId } } });
    switch (outcome.__typename) {
      case "SignedOut":
        await refetch();
        return done("Signed out.");
      case "NotFound":
        await refetch();
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  async function signOutEverywhere() {
    await mutate({ mutation: LogoutEverywhere });
    await session.signOut(); // the server has ended the sessions, and now all tabs of this origin know
    return done("Signed out everywhere.");
  }

  return (
    <Page title="Sessions">
      <Card title="Where you are signed in">
        <ul className="list">
          {data.me?.sessions?.nodes.map(({ id, isCurrent, userAgent, ipAddress, lastUsedAt, methods }) => (
            <li key={id}>
              <div>
                <p>{deviceName(userAgent)} {isCurrent && <span className="tag">this device</span>}</p>
                <p className="minor">{ipAddress}, last used <When at={lastUsedAt} /></p>
                <p className="minor">Signed in with {inWords(methods)}</p>
              </div>
              {!isCurrent && (
                <Form submit={() => revoke(id)} button="Sign out" label={`Sign out ${deviceName(userAgent)}`} look="quiet" />
              )}
            </li>
          ))}
        </ul>
      </Card>
      <Card title="Lost a device?">
        <p>This ends all your sessions, the one on this device too.</p>
        <Form submit={signOutEverywhere} button="Sign out everywhere" look="danger" />
      </Card>
    </Page>
  );
}
