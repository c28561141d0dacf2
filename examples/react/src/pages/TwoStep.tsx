import { useState } from "react";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import { useMe, useRefreshMe } from "../me";
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
  const [areLost, setLost] = useState(false);
  const [notice, setNotice] = useState("");
  const refreshMe = useRefreshMe();

  function show(next: readonly string[]) {
    setNotice("");
    setLost(false);
    setCodes(next);
  }

  async function added(next: readonly string[] | null) {
    if (next) {
      show(next);
    } else {
      await refreshMe();
      setLost(true);
    }
  }

  // Not before: what happens to the page would take the codes away.
  async function close() {
    await refreshMe();
    setCodes(undefined);
  }

  return (
    <Page title="Two-step sign-in">
      {mustEnroll && !codes && <p role="status">This server requires two-step sign-in. Set it up to continue.</p>}
      <p role="status">{notice}</p>
      {codes ? (
        <RecoveryCodes codes={codes} close={close} />
      ) : factors.length === 0 ? (
        <EnrollApp tell={setNotice} added={added} />
      ) : (
        <>
          <Factors tell={setNotice} />
          <CodesLeft areLost={areLost} renewed={show} />
        </>
      )}
    </Page>
  );
}

function Factors({ tell }: { tell: (notice: string) => void }) {
  const { factors } = useMe();
  const mutate = useMutate();
  const refreshMe = useRefreshMe();

  async function remove(factorId: string) {
    const { outcome } = await mutate({ mutation: RemoveFactor, variables: { input: { factorId } } });
    switch (outcome.__typename) {
      case "UserChanged":
        tell("The authenticator app is removed.");
        return done("Removed.");
      case "NotFound":
        tell("The authenticator app was removed already.");
        await refreshMe();
        return problem(outcome);
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
            <Form
              submit={() => remove(id)}
              button="Remove"
              label="Remove authenticator app"
              look="danger"
              warning="Signing in then asks for your password alone. Your recovery codes stop working, also those that you have printed."
            />
          </li>
        ))}
      </ul>
    </Card>
  );
}

interface CodesLeftProps {
  /** Whether there are codes that were never shown. */
  areLost: boolean;
  renewed: (codes: readonly string[]) => void;
}

function CodesLeft({ areLost, renewed }: CodesLeftProps) {
  const left = useMe().recoveryCodesLeft ?? 0;
  const mutate = useMutate();

  async function renew() {
    const { renewed: { codes } } = await mutate({ mutation: RenewRecoveryCodes, fetchPolicy: "no-cache" });
    renewed(codes);
    return done("Made.");
  }

  return (
    <Card title="Recovery codes" focused={areLost}>
      <p>Each signs you in once if you have lost your authenticator app.</p>
      {areLost ? (
        <p className="issue">Your authenticator app is added, but your recovery codes were lost on the way. Make new ones, and store them.</p>
      ) : (
        <p className={left <= FEW ? "issue" : ""}>
          Codes that are left: {left}.{left <= FEW && " Make new ones before you need them."}
        </p>
      )}
      <Form
        submit={renew}
        button="Make new codes"
        look="quiet"
        warning="The codes that you have now stop working, also those that you have printed."
      />
    </Card>
  );
}
