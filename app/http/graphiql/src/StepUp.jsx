import { stepUpWithPasskey } from "@portico/client/passkeys";
import { useSession } from "@portico/client/react";
import { useEffect, useSyncExternalStore } from "react";
import { Close, closeDialogOf, Dialog } from "./Dialog.jsx";
import { outcomeOf, PasskeysElsewhere } from "./passkeys.jsx";
import { Proof, waysOf } from "./Proof.jsx";
import { ask, session } from "./session.js";
import { stepUpRequest } from "./stepUp.js";

const STEP_UP = `mutation StepUp($input: StepUpInput!) {
  result: stepUp(input: $input) { __typename ... on Problem { message } }
}`;
const PROVED = "proved";

export function StepUp() {
  const { user } = useSession(session);
  const pending = useSyncExternalStore(stepUpRequest.subscribe, stepUpRequest.current);
  // The next user is not asked to confirm what the former one has begun.
  useEffect(() => () => stepUpRequest.current()?.finish(false), [user?.id]);
  if (!pending) return null;
  const { methods, finish } = pending;

  const finishWith = (outcome, form) => {
    if (outcome.__typename === "SteppedUp") closeDialogOf(form, PROVED);
    return outcome.message;
  };
  const prove = async (answer, form) => finishWith(await ask(STEP_UP, { input: { answer } }), form);
  const proveByPasskey = async (form) =>
    finishWith(await outcomeOf(stepUpWithPasskey(session)), form);

  return (
    <Dialog title="Confirm that it is you" onClose={(value) => finish(value === PROVED)}>
      {waysOf(methods).length ? (
        <>
          <Proof
            methods={methods}
            onAnswer={prove}
            onPasskey={proveByPasskey}
            submit="Confirm"
          >
            <Close>Cancel</Close>
          </Proof>
          {!methods.includes("PASSWORD") && (
            <p>Lost your phone? Sign out, and sign in with a recovery code.</p>
          )}
        </>
      ) : (
        <>
          <p>Sign out and sign in again: this account has nothing else to confirm it with.</p>
          <Close />
        </>
      )}
      {methods.includes("PASSKEY") && <PasskeysElsewhere />}
    </Dialog>
  );
}
