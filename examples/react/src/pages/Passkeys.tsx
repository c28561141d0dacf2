import { registerPasskey } from "@portico/client/passkeys";
import { useState } from "react";
import { useMutate } from "../apollo";
import type { FactorProps } from "../factorProps";
import { graphql } from "../gql";
import { useMe, useRefreshMe } from "../me";
import { codeOf, done, NO_PASSKEY, problem, unhandled } from "../results";
import { session } from "../session";
import { Field, Form, type Values } from "../ui/Form";
import { Card } from "../ui/Page";
import { SendVerification } from "../ui/SendVerification";
import { When } from "../ui/When";
import { useServerHasPasskeys, WithPasskeys } from "../ui/WithPasskeys";
import { useRemovalWarning, useRemoveFactor } from "../useRemoveFactor";

const RenamePasskey = graphql(`
  mutation RenamePasskey($input: RenamePasskeyInput!) {
    outcome: renamePasskey(input: $input) {
      __typename
      ... on UserChanged {
        user {
          id
          factors {
            id
            ... on Passkey {
              name
            }
          }
        }
      }
      ...Problem
    }
  }
`);

export function Passkeys({ tell, added }: FactorProps) {
  const { passkeys } = useMe();
  const serverHasPasskeys = useServerHasPasskeys();
  return (
    <Card title="Passkeys">
      <p>
        A passkey signs you in without a password: with your fingerprint, your face or the PIN of your device. Signing in with the
        password then asks for a passkey too, so who knows your password alone cannot sign in.
      </p>
      {passkeys.length > 0 && (
        <ul className="list">
          {passkeys.map((passkey) => <PasskeyItem key={passkey.id} passkey={passkey} tell={tell} />)}
        </ul>
      )}
      {serverHasPasskeys && (
        <WithPasskeys>
          <AddPasskey tell={tell} added={added} />
        </WithPasskeys>
      )}
    </Card>
  );
}

function AddPasskey({ tell, added }: FactorProps) {
  const { passkeys } = useMe();
  const [isUnverified, setUnverified] = useState(false);

  async function add() {
    tell("");
    const outcome = await registerPasskey(session).catch((error: unknown) => {
      setUnverified(codeOf(error) === "EMAIL_NOT_VERIFIED");
      throw error;
    });
    switch (outcome?.__typename) {
      case undefined:
        return NO_PASSKEY;
      case "FactorAdded":
        await added("The passkey", outcome.recoveryCodes);
        return done("Added.");
      case "AlreadyRegistered":
        if (passkeys.length === 0) await added("The passkey", null); // the answer that told of it was lost on the way
        return problem(outcome);
      case "PasskeyRefused":
      case "InvalidInput":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <>
      <Form submit={add} button="Add a passkey" look="quiet" reusable />
      {isUnverified && <SendVerification />}
    </>
  );
}

interface PasskeyItemProps extends Pick<FactorProps, "tell"> {
  passkey: ReturnType<typeof useMe>["passkeys"][number];
}

function PasskeyItem({ passkey: { id, name, isBackedUp, createdAt, lastUsedAt }, tell }: PasskeyItemProps) {
  const [isRenaming, setRenaming] = useState<boolean>();
  const remove = useRemoveFactor(tell);
  const lastWarning = useRemovalWarning();

  if (isRenaming)
    return (
      <li>
        <RenameForm id={id} name={name} tell={tell} close={() => { setRenaming(false); }} />
      </li>
    );
  return (
    <li>
      <div>
        <p>{name} <span className="tag">{isBackedUp ? "synced" : "on this device only"}</span></p>
        <p className="minor">
          Registered <When at={createdAt} />
          {lastUsedAt && <>, last used <When at={lastUsedAt} /></>}
        </p>
      </div>
      <div className="bar">
        {/* After a rename it has the focus again. */}
        <button className="quiet" aria-label={`Rename ${name}`} autoFocus={isRenaming === false} onClick={() => { setRenaming(true); }}>
          Rename
        </button>
        <Form
          submit={() => remove(id, `The passkey “${name}”`)}
          button="Remove"
          label={`Remove ${name}`}
          look="danger"
          warning={lastWarning ?? "It then no longer signs you in."}
        />
      </div>
    </li>
  );
}

interface RenameFormProps extends Pick<FactorProps, "tell"> {
  id: string;
  name: string;
  close: () => void;
}

function RenameForm({ id, name: before, tell, close }: RenameFormProps) {
  const mutate = useMutate();
  const refreshMe = useRefreshMe();

  async function rename({ name }: Values<"name">) {
    const { outcome } = await mutate({ mutation: RenamePasskey, variables: { input: { passkeyId: id, name } } });
    switch (outcome.__typename) {
      case "UserChanged":
        tell("The passkey is renamed.");
        close();
        return done("Renamed.");
      case "NotFound":
        tell("The passkey was removed already.");
        await refreshMe();
        return problem(outcome);
      case "InvalidInput":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <>
      <Form submit={rename} button="Save">
        <Field name="name" label="Name of the passkey" defaultValue={before} autoComplete="off" autoFocus />
      </Form>
      <button className="quiet" onClick={close}>Cancel</button>
    </>
  );
}
