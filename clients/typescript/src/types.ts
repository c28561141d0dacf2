import type * as api from "./generated.js";

/** The user of a session. */
export type User = Extract<api.LoginMutation["result"], { user: unknown }>["user"];

/** For example `localStorage`. */
export type TokenStorage = Pick<Storage, "getItem" | "setItem">;

/** What answers a challenge, or a request to step up. */
export type AuthenticationMethod = api.AuthenticationMethod;

/** What Portico refused for: the user proved too long ago who they are. */
export interface StepUpRequired {
  /** By what the user can prove it, the strongest first. Empty: only by signing in again. */
  methods: AuthenticationMethod[];
  /** How many seconds ago the proof may be. */
  maxAge: number;
}

interface CommonOptions {
  /** The GraphQL endpoint. */
  url: string;
  /** Sends the requests; `globalThis.fetch` if omitted. */
  fetch?: typeof fetch;
  /**
   * Asks the person to prove who they are, and calls the mutation `stepUp`: for requests that Portico
   * refuses with `STEP_UP_REQUIRED`. They are sent once more if it returns true. Its promise must settle.
   */
  stepUp?: (required: StepUpRequired) => boolean | Promise<boolean>;
}

export type SessionOptions = CommonOptions &
  (
    | { delivery?: "COOKIE"; storage?: never }
    | {
        /** For where cookies cannot work: the page and Portico are on different sites, or there is no browser. */
        delivery: "BODY";
        /** Keeps the refresh token. In memory if omitted: a reload signs out. */
        storage?: TokenStorage;
      }
  );

/** `loading` until Portico has said whether a session exists. */
export type SessionStatus = "loading" | "signedIn" | "signedOut";

/** Why the server ended the session. */
export type SessionEnd = Extract<api.RefreshSessionMutation["result"], { reason: unknown }>;

type WithoutTokens<Outcome> = Outcome extends { tokens: unknown } ? Omit<Outcome, "tokens"> : Outcome;

/** The question for a second factor: the answer, and the `token`, go to `answerChallenge`. */
export type Challenge = Extract<api.LoginMutation["result"], { challenge: unknown }>["challenge"];

export type SignInOutcome = WithoutTokens<api.LoginMutation["result"]>;
export type RegisterOutcome = WithoutTokens<api.RegisterMutation["result"]>;
export type VerifyEmailOutcome = WithoutTokens<api.VerifyEmailMutation["result"]>;
export type AnswerChallengeOutcome = WithoutTokens<api.AnswerChallengeMutation["result"]>;
export type SignInWithPasskeyOutcome = WithoutTokens<api.SignInWithPasskeyMutation["result"]>;
export type ChangePasswordOutcome = WithoutTokens<NonNullable<api.ChangePasswordMutation["result"]>>;

/**
 * A session of one user, in all tabs of the same origin.
 *
 * The methods that ask Portico reject if it cannot be reached or refuses the request, with an `Error`
 * whose `code` is the `extensions.code` of the refusal.
 */
export interface Session {
  /** The GraphQL endpoint. */
  readonly url: string;
  readonly status: SessionStatus;
  /** Null unless signed in; the same object until it changes. */
  readonly user: User | null;
  /** Why the server ended the last session; null if it did not. */
  readonly endedBy: SessionEnd | null;
  /** Resolves when `status` is no longer `loading`. */
  readonly ready: Promise<void>;

  signIn(input: Omit<api.LoginInput, "delivery">): Promise<SignInOutcome>;
  register(input: Omit<api.RegisterInput, "delivery">): Promise<RegisterOutcome>;
  verifyEmail(input: Omit<api.VerifyEmailInput, "delivery">): Promise<VerifyEmailOutcome>;
  /** Completes `signIn` or `verifyEmail`, if its outcome was `ChallengeRequired`. */
  answerChallenge(input: Omit<api.AnswerChallengeInput, "delivery">): Promise<AnswerChallengeOutcome>;
  /** Signs in with what the browser has answered; `@portico/client/passkeys` asks it. */
  signInWithPasskey(input: Omit<api.SignInWithPasskeyInput, "delivery">): Promise<SignInWithPasskeyOutcome>;
  /** Continues the session with new tokens; the former ones are no longer valid. */
  changePassword(input: api.ChangePasswordInput): Promise<ChangePasswordOutcome>;
  /** Signs out here at once, then on the server. Rejects if the server could not be told. */
  signOut(): Promise<void>;

  /** Calls the listener after each change of `status`, `user` or `endedBy`; returns what stops that. */
  subscribe(listener: () => void): () => void;
  /** A `fetch` that sends the access token, with requests to `url` alone. */
  fetch: typeof fetch;
  /** Stops listening to other tabs and trying again. The session itself continues. */
  close(): void;
}
