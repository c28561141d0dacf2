import { useState } from "react";
import { useNavigate } from "react-router";
import type { MemberState } from "../memberState";
import { done, problem, unhandled } from "../results";
import { session } from "../session";
import { CodeField } from "../ui/CodeField";
import { Field, Form, type Values } from "../ui/Form";
import { useGuestState } from "../ui/GuestLayout";
import { Page } from "../ui/Page";

interface AnswerChallengeProps {
  /** It is secret: keep it in memory. */
  token: string;
  notice?: string;
  /** Leads back to the first step of the sign-in, and says why, if not by the person's wish. */
  restart: (notice?: string) => void;
}

/** The second step of a sign-in, after `ChallengeRequired`. */
export function AnswerChallenge({ token, notice, restart }: AnswerChallengeProps) {
  const [byRecoveryCode, setByRecoveryCode] = useState(false);
  const { from = "/" } = useGuestState();
  const navigate = useNavigate();

  async function answer({ code }: Values<"code">) {
    const outcome = await session.answerChallenge({
      token,
      answer: byRecoveryCode ? { recoveryCode: code } : { totp: code },
    });
    switch (outcome.__typename) {
      case "SignedIn":
        await navigate(from, {
          replace: true,
          state: { recoveryCodeUsedIn: byRecoveryCode ? performance.timeOrigin : undefined } satisfies MemberState,
        });
        return done("You are signed in.");
      case "ChallengeExpired":
        restart(outcome.message);
        return problem(outcome);
      case "InvalidCode":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <Page title="Two-step sign-in">
      <p role="status">{notice}</p>
      {/* The key: the field and the message of the other way do not stay. */}
      <Form key={String(byRecoveryCode)} submit={answer} button="Continue">
        {byRecoveryCode ? (
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
        ) : (
          <CodeField name="code" autoFocus />
        )}
      </Form>
      <div className="links">
        <button className="link" onClick={() => { setByRecoveryCode(!byRecoveryCode); }}>
          {byRecoveryCode ? "Use your authenticator app" : "Use a recovery code"}
        </button>
        <button className="link" onClick={() => { restart(); }}>Start again</button>
      </div>
    </Page>
  );
}
