import { useState } from "react";
import { useMutate } from "../apollo";
import type { FactorProps } from "../factorProps";
import { graphql } from "../gql";
import { useMe, useRefreshMe } from "../me";
import { done, FACTOR_REQUIRED } from "../results";
import { Form } from "../ui/Form";
import { Card, Page } from "../ui/Page";
import { RecoveryCodes } from "../ui/RecoveryCodes";
import { When } from "../ui/When";
import { useRemovalWarning, useRemoveFactor } from "../useRemoveFactor";
import { EnrollApp } from "./EnrollApp";
import { Passkeys } from "./Passkeys";

const RenewRecoveryCodes = graphql(`
  mutation RenewRecoveryCodes {
    renewed: renewRecoveryCodes {
      codes
    }
  }
`);

const FEW = 2;

export function Security() {
  const { factors, app, mustEnroll } = useMe();
  const [codes, setCodes] = useState<readonly string[]>();
  const [areLost, setLost] = useState(false);
  const [notice, setNotice] = useState("");
  const refreshMe = useRefreshMe();

  function show(next: readonly string[]) {
    setNotice("");
    setLost(false);
    setCodes(next);
  }

  async function added(name: string, next: readonly string[] | null) {
    if (next) {
      show(next);
    } else {
      await refreshMe();
      setNotice(`${name} is added.`);
      setLost(factors.length === 0);
    }
  }

  // Not before: what happens to the page would take the codes away.
  async function close() {
    await refreshMe();
    setCodes(undefined);
  }

  return (
    <Page title="Security">
      {mustEnroll && !codes && <p role="status">{FACTOR_REQUIRED}</p>}
      <p role="status">{notice}</p>
      {codes ? (
        <RecoveryCodes codes={codes} close={close} />
      ) : (
        <>
          <Passkeys tell={setNotice} added={added} />
          {app ? <AuthenticatorApp app={app} tell={setNotice} /> : <EnrollApp tell={setNotice} added={added} />}
          {factors.length > 0 && <CodesLeft areLost={areLost} renewed={show} />}
        </>
      )}
    </Page>
  );
}

interface AuthenticatorAppProps extends Pick<FactorProps, "tell"> {
  app: NonNullable<ReturnType<typeof useMe>["app"]>;
}

function AuthenticatorApp({ app: { id, createdAt, lastUsedAt }, tell }: AuthenticatorAppProps) {
  const remove = useRemoveFactor(tell);
  return (
    <Card title="Your authenticator app">
      <p>Signing in with your password asks for a code of your authenticator app, or for a passkey.</p>
      <ul className="list">
        <li>
          <div>
            <p>Authenticator app</p>
            <p className="minor">
              Added <When at={createdAt} />
              {lastUsedAt && <>, last used <When at={lastUsedAt} /></>}
            </p>
          </div>
          <Form
            submit={() => remove(id, "The authenticator app")}
            button="Remove"
            label="Remove authenticator app"
            look="danger"
            warning={useRemovalWarning()}
          />
        </li>
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
      <p>With your password, each signs you in once if you have lost your passkeys and your authenticator app.</p>
      {areLost ? (
        <p className="issue">Your recovery codes were lost on the way. Make new ones, and store them.</p>
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
