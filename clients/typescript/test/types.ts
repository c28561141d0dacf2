// Compiled, not run: what the types of the package accept, and what they tell.
import { createSession, type Challenge, type Session, type SignInOutcome, type User } from "@portico/client";
import { registerPasskey, stepUpWithPasskey } from "@portico/client/passkeys";
import { useSession } from "@portico/client/react";

const url = "https://id.example.com/graphql";

export const inCookie: Session = createSession({ url });
export const inStorage: Session = createSession({ url, delivery: "BODY", storage: localStorage });
// @ts-expect-error A storage keeps tokens of the answer only.
export const mixed: Session = createSession({ url, storage: localStorage });
// @ts-expect-error The session says where the tokens go.
export const delivered = inCookie.signIn({ email: "", password: "", delivery: "BODY" });

export const withStepUp: Session = createSession({
  url,
  stepUp: async ({ methods, maxAge }) => methods.includes("TOTP") && maxAge > 0,
});
// @ts-expect-error It says whether the user has proved who they are.
export const withoutAnswer: Session = createSession({ url, stepUp: () => {} });

export const answered = (challenge: Challenge) =>
  inCookie.answerChallenge({ token: challenge.token, answer: { totp: "123456" } });
// @ts-expect-error One answer, not two.
export const twice = inCookie.answerChallenge({ token: "", answer: { totp: "1", recoveryCode: "2" } });

export const current = (): User | null => useSession(inCookie).user;

/** All outcomes are known: a new one in the schema is an error here. */
export function textOf(outcome: SignInOutcome): string {
  switch (outcome.__typename) {
    case "SignedIn":
      return outcome.user.email;
    case "ChallengeRequired":
      return outcome.challenge.methods.join();
    case "RateLimited":
      return `${outcome.message} ${outcome.retryAfter}`;
    case "InvalidCredentials":
    case "EmailNotVerified":
      return outcome.message;
  }
}

// @ts-expect-error Tokens stay in the package.
export const tokensOf = (outcome: SignInOutcome & { __typename: "SignedIn" }) => outcome.tokens;

export const registered = async (): Promise<string | undefined> => {
  const outcome = await registerPasskey(inCookie, { name: "Phone" });
  return outcome?.__typename === "FactorAdded" ? outcome.recoveryCodes?.join() : outcome?.message;
};
// @ts-expect-error An outcome is no answer to `stepUp`: it may be a refusal.
export const withPasskey: Session = createSession({ url, stepUp: () => stepUpWithPasskey(withPasskey) });
