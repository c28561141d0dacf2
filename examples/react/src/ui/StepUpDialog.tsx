import { useEffect, useRef, useState } from "react";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import type { AuthenticationMethod } from "../gql/graphql";
import { useMe } from "../me";
import { done, problem, unhandled } from "../results";
import { cancelStepUp, useStepUpQuestion } from "../stepUp";
import { useSignOut } from "../useSignOut";
import { CodeField } from "./CodeField";
import { Field, Form, type Values } from "./Form";

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

function Proof({ methods, proved }: { methods: readonly AuthenticationMethod[]; proved: () => void }) {
  const [byCode, setByCode] = useState(methods.includes("TOTP"));
  const mutate = useMutate();
  const signOut = useSignOut();
  const { email } = useMe();

  async function prove({ proof }: Values<"proof">) {
    const answer = byCode ? { totp: proof } : { password: proof };
    const { outcome } = await mutate({ mutation: StepUp, variables: { input: { answer } } });
    switch (outcome.__typename) {
      case "SteppedUp":
        proved();
        return done("Confirmed.");
      case "InvalidCode":
        setByCode(true); // also if a second factor was added elsewhere while the password was asked for
        return problem(outcome);
      case "InvalidCredentials":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  if (byCode || methods.includes("PASSWORD"))
    return (
      <>
        <Form submit={prove} button="Confirm">
          {byCode ? (
            <CodeField name="proof" />
          ) : (
            <>
              {/* For password managers: whose password it is. */}
              <input type="text" autoComplete="username" value={email} readOnly hidden />
              <Field name="proof" label="Your password" type="password" autoComplete="current-password" required />
            </>
          )}
        </Form>
        {byCode && (
          <p>
            Lost your phone? <button className="link" onClick={() => signOut()}>Sign out</button>, and sign in with a recovery code.
          </p>
        )}
      </>
    );
  return (
    <>
      <p>You signed in too long ago for this. Sign in again to continue.</p>
      <button onClick={() => signOut()}>Sign in again</button>
    </>
  );
}
