import { useSession } from "@portico/client/react";
import { useEffect, useSyncExternalStore } from "react";
import { Close, closeDialogOf, Dialog } from "./Dialog.jsx";
import { CODE, OneField, PASSWORD } from "./OneField.jsx";
import { ask, session } from "./session.js";
import { stepUpRequest } from "./stepUp.js";

const STEP_UP = `mutation StepUp($input: StepUpInput!) {
  result: stepUp(input: $input) { __typename ... on Problem { message } }
}`;
const PROVED = "proved";
const FIELDS = { TOTP: ["totp", CODE], PASSWORD: ["password", PASSWORD] };

export function StepUp() {
  const { user } = useSession(session);
  const pending = useSyncExternalStore(stepUpRequest.subscribe, stepUpRequest.current);
  // The next user is not asked to confirm what the former one has begun.
  useEffect(() => () => stepUpRequest.current()?.finish(false), [user?.id]);
  if (!pending) return null;
  const { methods, finish } = pending;
  const [answer, field] = FIELDS[methods.find((method) => method in FIELDS)] ?? [];

  const prove = async (value, form) => {
    const outcome = await ask(STEP_UP, { input: { answer: { [answer]: value } } });
    if (outcome.__typename === "SteppedUp") closeDialogOf(form, PROVED);
    return outcome.message;
  };

  return (
    <Dialog title="Confirm that it is you" onClose={(value) => finish(value === PROVED)}>
      {field ? (
        <>
          <OneField field={field} onSubmit={prove} submit="Confirm">
            <Close>Cancel</Close>
          </OneField>
          {field === CODE && (
            <p>Lost your phone? Sign out, and sign in with a recovery code.</p>
          )}
        </>
      ) : (
        <>
          <p>Sign out and sign in again: this account has nothing else to confirm it with.</p>
          <Close />
        </>
      )}
    </Dialog>
  );
}
