import { useState } from "react";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import { Me, useMe } from "../me";
import { done, problem, unhandled } from "../results";
import { Form } from "../ui/Form";
import { Card, Page } from "../ui/Page";
import { RecoveryCodes } from "../ui/RecoveryCodes";
import { When } from "../ui/When";
import { EnrollApp } from "./EnrollApp";

const RemoveFactor = graphql(`
  mutation RemoveFactor($input: RemoveFactorInput!) {
    outcome: removeFactor(input: $input) {
      __typename
      ... on UserChanged {
        user {
          id
          factors {
            id
          }
          recoveryCodesLeft
        }
      }
      ...Problem
    }
  }
`);

const RenewRecoveryCodes = graphql(`
  mutation RenewRecoveryCodes {
    renewed: renewRecoveryCodes {
      codes
    }
  }
`);

const FEW = 2;

export function TwoStep() {
  const { factors, mustEnroll } = useMe();
  const [codes, setCodes] = useState<readonly string[]>();
  const [notice, setNotice] = useState("");

  return (
    <Page title="Two-step sign-in">
      <p role="status">{mustEnroll ? "This server requires two-step sign-in. Set it up to continue." : notice}</p>
      {codes ? (
        <RecoveryCodes codes={codes} stored={() => { setCodes(undefined); }} />
      ) : factors.length === 0 ? (
        <EnrollApp added={setCodes} />
      ) : (
        <>
          <Factors removed={() => { setNotice("The authenticator app is removed."); }} />
          <CodesLeft renewed={setCodes} />
        </>
      )}
    </Page>
  );
}

function Factors({ removed }: { removed: () => void }) {
  const { factors } = useMe();
  const mutate = useMutate();

  async function remove(factorId: string) {
    const { outcome } = await mutate({ mutation: RemoveFactor, variables: { input: { factorId } } });
    switch (outcome.__typename) {
      case "UserChanged":
        removed();
        return done("Removed.");
      case "NotFound":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <Card title="Your authenticator app">
      <p>Signing in asks for your password, and then for a code of your authenticator app.</p>
      <ul className="list">
        {factors.map(({ id, createdAt, lastUsedAt }) => (
          <li key={id}>
            <div>
              <p>Authenticator app</p>
              <p className="minor">
                Added <When at={createdAt} />
                {lastUsedAt && <>, last used <When at={lastUsedAt} /></>}
              </p>
            </div>
            <Form submit={() => remove(id)} button="Remove" label="Remove authenticator app" look="danger" />
          </li>
        ))}
      </ul>
    </Card>
  );
}

function CodesLeft({ renewed }: { renewed: (codes: readonly string[]) => void }) {
  const left = useMe().recoveryCodesLeft ?? 0;
  const mutate = useMutate();

  async function renew() {
    const { renewed: { codes } } = await mutate({ mutation: RenewRecoveryCodes, fetchPolicy: "no-cache", refetchQueries: [Me] });
    renewed(codes);
    return done("Made.");
  }

  return (
    <Card title="Recovery codes">
      <p>Each signs you in once if you have lost your authenticator app.</p>
      <p className={left <= FEW ? "issue" : ""}>
        Codes that are left: {left}.{left <= FEW && " Make new ones before you need them."}
      </p>
      <Form submit={renew} button="Make new codes" look="quiet" />
    </Card>
  );
}
