import { stepUpWithPasskey } from "@portico/client/passkeys";
import { useEffect, useRef, useState } from "react";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import type { AuthenticationMethod } from "../gql/graphql";
import { useMe } from "../me";
import { done, NO_PASSKEY, problem, unhandled } from "../results";
import { session } from "../session";
import { cancelStepUp, useStepUpQuestion } from "../stepUp";
import { useSignOut } from "../useSignOut";
import { CodeField } from "./CodeField";
import { Field, Form, type Values } from "./Form";
import { OtherWays, useWay } from "./Ways";
import { WithPasskeys } from "./WithPasskeys";

const StepUp = graphql(`
  mutation StepUp($input: StepUpInput!) {
    outcome: stepUp(input: $input) {
      __typename
      ...Problem
    }
  }
`);

const PROVED = "proved";

/** Asks the user to prove who they are, while a request waits for it: see `stepUp`. */
export function StepUpDialog() {
  const question = useStepUpQuestion();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), [question]);
  useEffect(() => cancelStepUp, []); // for who signs out in another tab

  return (
    question && (
      // It is closed by Escape too. Closing puts the focus back.
      <dialog
        ref={dialog}
        className="card"
        aria-labelledby="step-up"
        onClose={({ currentTarget }) => { question.answer(currentTarget.returnValue === PROVED); }}
      >
        <h2 id="step-up">Confirm that it is you</h2>
        <Proof methods={question.methods} proved={() => dialog.current?.close(PROVED)} />
        <button className="quiet" onClick={() => dialog.current?.close()}>Cancel</button>
      </dialog>
    )
  );
}

interface ProofProps {
  methods: readonly AuthenticationMethod[];
  proved: () => void;
}

function Proof({ methods: asked, proved }: ProofProps) {
  const [methods, setMethods] = useState(asked);
  const [way, setWay] = useWay(methods);
  const mutate = useMutate();
  const signOut = useSignOut();
  const { email } = useMe();

  async function send(proof: string) {
    if (way === "PASSKEY") return stepUpWithPasskey(session);
    const answer = way === "TOTP" ? { totp: proof } : { password: proof };
    return (await mutate({ mutation: StepUp, variables: { input: { answer } } })).outcome;
  }

  async function prove({ proof }: Values<"proof">) {
    const outcome = await send(proof);
    switch (outcome?.__typename) {
      case undefined:
        return NO_PASSKEY;
      case "SteppedUp":
        proved();
        return done("Confirmed.");
      case "InvalidCode":
        if (way === "PASSWORD") { // a second factor was added elsewhere while the password was asked for
          setMethods(["PASSKEY", "TOTP"]);
          setWay("TOTP");
        }
        return problem(outcome);
      case "InvalidCredentials":
      case "PasskeyRefused":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  if (way === "PASSWORD")
    return (
      <Form submit={prove} button="Confirm">
        {/* For password managers: whose password it is. */}
        <input type="text" autoComplete="username" value={email} readOnly hidden />
        <Field name="proof" label="Your password" type="password" autoComplete="current-password" required />
      </Form>
    );
  if (way === "PASSKEY" || way === "TOTP")
    return (
      <>
        {way === "PASSKEY" ? (
          <WithPasskeys>
            <Form submit={prove} button="Use your passkey" />
          </WithPasskeys>
        ) : (
          <Form submit={prove} button="Confirm">
            <CodeField name="proof" />
          </Form>
        )}
        <OtherWays methods={methods} way={way} setWay={setWay} />
        <p>
          Lost your {way === "TOTP" ? "phone" : "passkey"}? <button className="link" onClick={() => signOut()}>Sign out</button>, and
          sign in with a recovery code.
        </p>
      </>
    );
  return (
    <>
      <p>You signed in too long ago for this. Sign in again to continue.</p>
      <button onClick={() => signOut()}>Sign in again</button>
    </>
  );
}
