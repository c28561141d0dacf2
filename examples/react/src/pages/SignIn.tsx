import type { Challenge } from "@portico/client";
import { useSession } from "@portico/client/react";
import { useState } from "react";
import { Link } from "react-router";
import { done, problem, unhandled } from "../results";
import { session } from "../session";
import { Field, Form, type Values } from "../ui/Form";
import { useGuestState } from "../ui/GuestLayout";
import { Page } from "../ui/Page";
import { useServerHasPasskeys, WithPasskeys } from "../ui/WithPasskeys";
import { AnswerChallenge } from "./AnswerChallenge";
import { PasskeySignIn } from "./PasskeySignIn";

export function SignIn() {
  const { endedBy } = useSession(session);
  const { notice = endedBy?.message } = useGuestState();
  const serverHasPasskeys = useServerHasPasskeys();
  const [step, setStep] = useState<{ challenge?: Challenge; notice?: string | undefined }>({});

  async function signIn({ email, password }: Values<"email" | "password">) {
    const outcome = await session.signIn({ email, password });
    switch (outcome.__typename) {
      case "SignedIn":
        return done("You are signed in."); // GuestLayout redirects now
      case "ChallengeRequired":
        setStep({ challenge: outcome.challenge });
        return done("Continue with the second step.");
      case "InvalidCredentials":
      case "EmailNotVerified":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  if (step.challenge)
    return <AnswerChallenge challenge={step.challenge} restart={(notice) => { setStep({ notice }); }} />;
  return (
    <Page title="Sign in">
      <p role="status">{step.notice ?? notice}</p>
      <Form submit={signIn} button="Sign in">
        <Field name="email" label="Email" type="email" autoComplete="username webauthn" />
        <Field name="password" label="Password" type="password" autoComplete="current-password" />
      </Form>
      {serverHasPasskeys && (
        <WithPasskeys>
          <PasskeySignIn />
        </WithPasskeys>
      )}
      <nav aria-label="More" className="links">
        <Link to="/register">Create an account</Link>
        <Link to="/forgot-password">Forgot your password?</Link>
        <Link to="/request-verification">Request another verification email</Link>
      </nav>
    </Page>
  );
}
