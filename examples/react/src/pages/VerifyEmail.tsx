import type { Challenge } from "@portico/client";
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { done, problem, unhandled } from "../results";
import { session } from "../session";
import { Form } from "../ui/Form";
import { LinkPage } from "../ui/LinkPage";
import { AnswerChallenge } from "./AnswerChallenge";

const VERIFIED = "Your address is verified.";

export function VerifyEmail() {
  const [challenge, setChallenge] = useState<Challenge>();
  const navigate = useNavigate();

  async function verify(token: string) {
    const outcome = await session.verifyEmail({ token });
    switch (outcome.__typename) {
      case "SignedIn":
        return done(`${outcome.user.email} is verified, and you are signed in.`);
      case "ChallengeRequired":
        setChallenge(outcome.challenge);
        return done(VERIFIED);
      case "TokenInvalid":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  if (challenge)
    return (
      <AnswerChallenge
        challenge={challenge}
        notice={`${VERIFIED} Continue with the second step.`}
        restart={(notice = "Sign in to continue.") =>
          navigate("/sign-in", { replace: true, state: { notice: `${VERIFIED} ${notice}` } })}
      />
    );
  return (
    <LinkPage title="Verify your email" form={(token) => <Form submit={() => verify(token)} button="Verify" />}>
      <Link to="/">Continue</Link>
      <Link to="/request-verification">Request another email</Link>
    </LinkPage>
  );
}
