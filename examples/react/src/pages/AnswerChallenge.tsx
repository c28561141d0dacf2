import type { Challenge } from "@portico/client";
import { answerChallengeWithPasskey } from "@portico/client/passkeys";
import { useNavigate } from "react-router";
import type { MemberState } from "../memberState";
import { done, NO_PASSKEY, problem, unhandled } from "../results";
import { session } from "../session";
import { CodeField } from "../ui/CodeField";
import { Field, Form, type Values } from "../ui/Form";
import { useGuestState } from "../ui/GuestLayout";
import { Page } from "../ui/Page";
import { OtherWays, useWay } from "../ui/Ways";
import { WithPasskeys } from "../ui/WithPasskeys";

interface AnswerChallengeProps {
  /** Its token is secret: keep it in memory. */
  challenge: Challenge;
  notice?: string;
  /** Leads back to the first step of the sign-in, and says why, if not by the person's wish. */
  restart: (notice?: string) => void;
}

/** The second step of a sign-in, after `ChallengeRequired`. */
export function AnswerChallenge({ challenge: { token, methods }, notice, restart }: AnswerChallengeProps) {
  const [way, setWay] = useWay(methods);
  const { from = "/" } = useGuestState();
  const navigate = useNavigate();

  function send(code: string) {
    if (way === "PASSKEY") return answerChallengeWithPasskey(session, token);
    return session.answerChallenge({ token, answer: way === "TOTP" ? { totp: code } : { recoveryCode: code } });
  }

  async function answer({ code }: Values<"code">) {
    const outcome = await send(code);
    switch (outcome?.__typename) {
      case undefined:
        return NO_PASSKEY;
      case "SignedIn":
        await navigate(from, {
          replace: true,
          state: { recoveryCodeUsedIn: way === "RECOVERY_CODE" ? performance.timeOrigin : undefined } satisfies MemberState,
        });
        return done("You are signed in.");
      case "ChallengeExpired":
        restart(outcome.message);
        return problem(outcome);
      case "InvalidCode":
      case "PasskeyRefused":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <Page title="Two-step sign-in">
      <p role="status">{notice}</p>
      {way === "PASSKEY" && (
        <WithPasskeys>
          <Form submit={answer} button="Use your passkey" autoFocus />
        </WithPasskeys>
      )}
      {way === "TOTP" && (
        <Form submit={answer} button="Continue">
          <CodeField name="code" autoFocus />
        </Form>
      )}
      {way === "RECOVERY_CODE" && (
        <Form submit={answer} button="Continue">
          <Field
            name="code"
            label="Recovery code"
            hint="It works once."
            required
            autoFocus
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
          />
        </Form>
      )}
      <div className="links">
        <OtherWays methods={methods} way={way} setWay={setWay} />
        <button className="link" onClick={() => { restart(); }}>Start again</button>
      </div>
    </Page>
  );
}
