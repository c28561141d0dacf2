import { useSession } from "@portico/client/react";
import { useState } from "react";
import { Link } from "react-router";
import { done, problem, unhandled } from "../results";
import { session } from "../session";
import { Field, Form, type Values } from "../ui/Form";
import { useGuestState } from "../ui/GuestLayout";
import { Page } from "../ui/Page";
import { AnswerChallenge } from "./AnswerChallenge";

export function SignIn() {
  const { endedBy } = useSession(session);
  const { notice = endedBy?.message } = useGuestState();
  const [step, setStep] = useState<{ challenge?: string; notice?: string | undefined }>({});

  async function signIn({ email, password }: Values<"email" | "password">) {
    const outcome = await session.signIn({ email, password });
    switch (outcome.__typename) {
      case "SignedIn":
        return done("You are signed in."); // GuestLayout redirects now
      case "ChallengeRequired":
        setStep({ challenge: outcome.challenge.token });
        return done("Continue with the second step.");
      case "InvalidCredentials":
      case "EmailNotVerified":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  if (step.challenge !== undefined)
    return <AnswerChallenge token={step.challenge} restart={(notice) => { setStep({ notice }); }} />;
  return (
    <Page title="Sign in">
      <p role="status">{step.notice ?? notice}</p>
      <Form submit={signIn} button="Sign in">
        <Field name="email" label="Email" type="email" autoComplete="username" />
        <Field name="password" label="Password" type="password" autoComplete="current-password" />
      </Form>
      <nav aria-label="More" className="links">
        <Link to="/register">Create an account</Link>
        <Link to="/forgot-password">Forgot your password?</Link>
        <Link to="/request-verification">Request another verification email</Link>
      </nav>
    </Page>
  );
}
