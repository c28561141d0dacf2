import { resultOf } from "./answers.js";
import { askBrowser, createPasskey, getPasskey, nullIfEnded, passkeysSupported, untilIdle } from "./browser_passkeys.js";
import type * as api from "./generated.js";
import type { AnswerChallengeOutcome, Session, SignInWithPasskeyOutcome } from "./index.js";
import * as documents from "./passkey_documents.js";

export { passkeysSupported };

const enum Milliseconds {
  /** A ceremony lives for five minutes: one may fail to be replaced. */
  AutofillCeremony = 120_000,
}

type Ceremony = api.BeginPasskeySignInMutation["result"];

export interface PasskeySignInOptions {
  /** Lets the browser offer passkeys in a field with `autocomplete="username webauthn"`, until one is chosen. */
  autofill?: boolean;
  /** Ends the request. */
  signal?: AbortSignal;
}

/** The authenticator has a passkey of the account already. */
export interface AlreadyRegistered {
  __typename: "AlreadyRegistered";
  /** What to tell the person, in English. */
  message: string;
}

export type RegisterPasskeyOutcome =
  | NonNullable<api.FinishPasskeyRegistrationMutation["result"]>
  | AlreadyRegistered;
export type PasskeyStepUpOutcome = NonNullable<api.StepUpMutation["result"]>;

const ALREADY_REGISTERED: AlreadyRegistered = {
  __typename: "AlreadyRegistered",
  message: "This device has a passkey for this account already.",
};

async function ask<Result>(session: Session, query: string, i?: object): Promise<Result> {
  const response = await session.fetch(session.url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query, variables: { i } }),
  });
  return resultOf<Result>(response);
}

/** Returns what Portico takes as the answer; null if the person cancelled. */
async function answerTo({ ceremony, publicKey }: Ceremony, signal?: AbortSignal) {
  const credential = await askBrowser(getPasskey(publicKey), signal).catch(nullIfEnded);
  return credential && { ceremony, credential };
}

/**
 * Signs in with a passkey that the person chooses: nobody has to say who they are first.
 *
 * Resolves to null if the person cancelled, `signal` was aborted or, with `autofill`, somebody is
 * signed in, or the browser has no autofill of passkeys.
 */
export async function signInWithPasskey(
  session: Session,
  { autofill, signal }: PasskeySignInOptions = {},
): Promise<SignInWithPasskeyOutcome | null> {
  const begin = () => ask<Ceremony>(session, documents.beginSignIn);
  const answer = await (autofill ? autofilled(session, begin, signal) : answerTo(await begin(), signal));
  const outcome = answer && (await session.signInWithPasskey(answer));
  if (outcome?.__typename === "SignedIn") void signalAcceptedPasskeys(session);
  return outcome;
}

let endAutofill = () => {};

/** Waits for the person to choose a passkey, however long that takes, and whatever else they try meanwhile. */
async function autofilled(session: Session, begin: () => Promise<Ceremony>, signal?: AbortSignal) {
  if (!passkeysSupported() || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return null;
  endAutofill();
  const end = new AbortController();
  endAutofill = () => end.abort();
  const ended = signal ? AbortSignal.any([end.signal, signal]) : end.signal;
  const unsubscribe = session.subscribe(() => session.status === "signedIn" && end.abort());
  try {
    let current = await begin();
    while (!ended.aborted && session.status !== "signedIn") {
      const answer = await untilRenewal(current, ended);
      if (answer) return answer;
      // Otherwise the ceremony is still good for a while.
      current = await begin().catch(() => current);
    }
    return null;
  } catch (error) {
    return nullIfEnded(error as Error);
  } finally {
    unsubscribe();
  }
}

/** Returns nothing if another request took its place, or the ceremony gets too old. */
async function untilRenewal({ ceremony, publicKey }: Ceremony, ended: AbortSignal) {
  // The person is asked for something else.
  await untilIdle();
  const renewal = new AbortController();
  const timer = setTimeout(() => renewal.abort(), Milliseconds.AutofillCeremony);
  try {
    const request = getPasskey(publicKey, "conditional");
    return { ceremony, credential: await askBrowser(request, AbortSignal.any([renewal.signal, ended])) };
  } catch (error) {
    if (ended.aborted || (error as Error).name !== "AbortError") throw error;
    return;
  } finally {
    clearTimeout(timer);
  }
}

/** Registers a passkey for the user who is signed in; null if the person cancelled. */
export async function registerPasskey(
  session: Session,
  { name = null }: { name?: string | null } = {},
): Promise<RegisterPasskeyOutcome | null> {
  const { ceremony, publicKey } = await ask<Ceremony>(session, documents.beginRegistration);
  const made = await askBrowser(createPasskey(publicKey)).then(
    (credential) => ({ credential }),
    (error) => (error.name === "InvalidStateError" ? ALREADY_REGISTERED : nullIfEnded(error)),
  );
  if (!made || "__typename" in made) return made;
  const input = { ...made, ceremony, name };
  // The authenticator also has a passkey that Portico does not accept.
  return ask<RegisterPasskeyOutcome>(session, documents.finishRegistration, input).finally(
    () => void signalAcceptedPasskeys(session),
  );
}

/** Completes `signIn` or `verifyEmail` with a passkey, if its outcome was `ChallengeRequired`; null if the person cancelled. */
export async function answerChallengeWithPasskey(
  session: Session,
  token: string,
): Promise<AnswerChallengeOutcome | null> {
  const begun = await ask<api.BeginPasskeyChallengeMutation["result"]>(session, documents.beginChallenge, { token });
  if (begun.__typename !== "PasskeyOptions") return begun;
  const passkey = await answerTo(begun);
  return passkey && session.answerChallenge({ token, answer: { passkey } });
}

/** Proves with a passkey who the user is, in the callback `stepUp`; null if the person cancelled. */
export async function stepUpWithPasskey(session: Session): Promise<PasskeyStepUpOutcome | null> {
  const passkey = await answerTo(await ask<Ceremony>(session, documents.beginStepUp));
  return passkey && ask<PasskeyStepUpOutcome>(session, documents.stepUp, { answer: { passkey } });
}

/**
 * Tells the browser which passkeys of the user work, so that it offers no others; does nothing in
 * browsers that cannot be told. Never rejects.
 */
export async function signalAcceptedPasskeys(session: Session): Promise<void> {
  try {
    if (!("signalAllAcceptedCredentials" in PublicKeyCredential)) return;
    const { acceptedPasskeys } = await ask<NonNullable<api.AcceptedPasskeysQuery["result"]>>(
      session,
      documents.acceptedPasskeys,
    );
    if (acceptedPasskeys) await PublicKeyCredential.signalAllAcceptedCredentials(acceptedPasskeys);
  } catch {
    // The browser then offers some that are refused.
  }
}
