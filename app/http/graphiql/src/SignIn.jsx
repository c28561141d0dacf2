import {
  answerChallengeWithPasskey,
  passkeysSupported,
  signalAcceptedPasskeys,
  signInWithPasskey,
} from "@portico/client/passkeys";
import { useSession } from "@portico/client/react";
import { useEffect, useRef, useState } from "react";
import { Factors } from "./Factors.jsx";
import { outcomeOf, PasskeysElsewhere, usePasskeys } from "./passkeys.jsx";
import { productName } from "./product.js";
import { Proof, waysOf } from "./Proof.jsx";
import { session, survivesReload, toMessage } from "./session.js";

const NOT_SIGNED_OUT =
  "Signed out here, but the server could not be reached: " +
  (survivesReload ? "a reload signs you in again." : "the session continues until it expires.");

export function SignIn() {
  const { status, user, endedBy } = useSession(session);
  const [isUnfinished, setIsUnfinished] = useState(false);
  const [challenge, setChallenge] = useState(null);
  const [notice, setNotice] = useState("");
  const signedOutView = challenge ? "challenge" : isUnfinished ? "signedOutHere" : "signedOut";
  const view = status === "signedOut" ? signedOutView : status;
  const bar = useRef(null);
  const before = useRef(view);
  const signOut = () => session.signOut().catch(() => setIsUnfinished(true));
  const endChallenge = (message = "") => {
    setChallenge(null);
    setNotice(message);
  };

  // The focused control was removed with its view: move the focus to its successor, but do not
  // take it from another element (a session may end while a user is typing a query).
  useEffect(() => {
    const wasReplaced = before.current !== "loading" && before.current !== view;
    before.current = view;
    if (wasReplaced && document.activeElement === document.body) {
      bar.current.querySelector("input, button").focus();
    }
    if (view === "signedIn") {
      setIsUnfinished(false);
      endChallenge();
      if (passkeysSupported()) signalAcceptedPasskeys(session);
    }
  }, [view]);

  return (
    <header className="portico-bar" ref={bar}>
      <h1>{productName}</h1>
      {view === "loading" && <Connecting />}
      {view === "signedIn" && <SignedIn user={user} onSignOut={signOut} />}
      {view === "signedOutHere" && <SignOutAgain onDone={() => setIsUnfinished(false)} />}
      {view === "challenge" && <ChallengeForm challenge={challenge} onEnd={endChallenge} />}
      {status === "signedOut" && view !== "challenge" && (
        <SignInForm notice={notice || reasonOf(endedBy)} onChallenge={setChallenge} />
      )}
    </header>
  );
}

// It appears after two seconds: most answers are faster.
const Connecting = () => (
  <p role="status" className="portico-late">
    Connecting …
  </p>
);

const reasonOf = (endedBy) => (endedBy ? `${endedBy.message} Please sign in again.` : "");

function SignedIn({ user, onSignOut }) {
  const [isOpen, setIsOpen] = useState(false);

  return (
    <>
      <p role="status">
        Signed in as <strong>{user.email}</strong> <span className="portico-role">{user.role}</span>
      </p>
      <button type="button" onClick={() => setIsOpen(true)}>
        Two-step sign-in
      </button>
      {isOpen && <Factors key={user.id} user={user} onClose={() => setIsOpen(false)} />}
      <button type="button" onClick={onSignOut}>
        Sign out
      </button>
    </>
  );
}

function SignOutAgain({ onDone }) {
  const [busy, setBusy] = useState(false);

  const tryAgain = () => {
    if (busy) return;
    setBusy(true);
    session.signOut().then(onDone, () => setBusy(false));
  };

  return (
    <>
      <p role="alert">{NOT_SIGNED_OUT}</p>
      <button type="button" onClick={tryAgain} aria-disabled={busy}>
        {busy ? "Trying again…" : "Try again"}
      </button>
    </>
  );
}

function ChallengeForm({ challenge: { token, methods }, onEnd }) {
  const finishWith = (outcome) => {
    if (outcome.__typename === "ChallengeExpired") onEnd(outcome.message);
    return outcome.message;
  };
  const answer = async (given) =>
    finishWith(await session.answerChallenge({ token, answer: given }).catch(toMessage));
  const answerByPasskey = async () =>
    finishWith(await outcomeOf(answerChallengeWithPasskey(session, token)));
  const cancel = (
    <button type="button" onClick={() => onEnd()}>
      Cancel
    </button>
  );

  return (
    <>
      {methods.includes("PASSKEY") && <PasskeysElsewhere />}
      {waysOf(methods).length ? (
        <Proof
          methods={methods}
          onAnswer={answer}
          onPasskey={answerByPasskey}
          submit="Sign in"
          aria-label="Second step"
        >
          {cancel}
        </Proof>
      ) : (
        <>
          <p role="alert">This browser has nothing that completes the sign-in.</p>
          {cancel}
        </>
      )}
    </>
  );
}

function SignInForm({ notice, onChallenge }) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const [canUsePasskeys, areOffered] = usePasskeys();
  const message = busy ? "" : failure || notice;

  // Browsers offer passkeys in the field of the address, until this form is gone.
  useEffect(() => {
    if (!canUsePasskeys) return;
    const controller = new AbortController();
    const offer = async () => {
      const { signal } = controller;
      // What cannot be offered is no failure of the person.
      const outcome = await signInWithPasskey(session, { autofill: true, signal }).catch(() => null);
      if (signal.aborted || !outcome?.message) return;
      setFailure(outcome.message);
      if (outcome.__typename === "PasskeyRefused") offer();
    };
    offer();
    return () => controller.abort();
  }, [canUsePasskeys]);

  const attempt = async (signIn) => {
    if (busy) return {};
    setBusy(true);
    const outcome = await signIn().catch(toMessage);
    if (outcome.__typename === "SignedIn") return outcome; // this form is gone
    setBusy(false);
    setFailure(outcome.message ?? "");
    return outcome;
  };

  const submit = async (event) => {
    event.preventDefault();
    const { email, password } = event.currentTarget.elements;
    const input = { email: email.value, password: password.value };
    const outcome = await attempt(() => session.signIn(input));
    if (outcome.__typename === "ChallengeRequired") return onChallenge(outcome.challenge);
    if (outcome.message) password.select();
  };

  return (
    <form onSubmit={submit} aria-label="Sign in">
      <p role="alert" id="portico-message">
        {message}
      </p>
      <label>
        Email
        <input
          name="email"
          type="email"
          autoComplete="username webauthn"
          required
          aria-describedby="portico-message"
        />
      </label>
      <label>
        Password
        <input
          name="password"
          type="password"
          autoComplete="current-password"
          required
          aria-describedby="portico-message"
        />
      </label>
      <button type="submit" aria-disabled={busy}>
        {busy ? "Signing in…" : "Sign in"}
      </button>
      {canUsePasskeys && (
        <button
          type="button"
          aria-disabled={busy}
          onClick={() => attempt(() => outcomeOf(signInWithPasskey(session)))}
        >
          Sign in with a passkey
        </button>
      )}
      {areOffered && <PasskeysElsewhere />}
    </form>
  );
}
