import { useSession } from "@portico/client/react";
import { useEffect, useRef, useState } from "react";
import { productName } from "./product.js";
import { session, survivesReload } from "./session.js";

const UNREACHABLE = "Portico could not be reached.";
const NOT_SIGNED_OUT =
  "Signed out here, but the server could not be reached: " +
  (survivesReload ? "a reload signs you in again." : "the session continues until it expires.");

export function SignIn() {
  const { status, user, endedBy } = useSession(session);
  const [isUnfinished, setIsUnfinished] = useState(false);
  const view = status === "signedOut" && isUnfinished ? "signedOutHere" : status;
  const bar = useRef(null);
  const before = useRef(view);
  const signOut = () => session.signOut().catch(() => setIsUnfinished(true));

  // The focused control was removed with its view: move the focus to its successor, but do not
  // take it from another element (a session may end while a user is typing a query).
  useEffect(() => {
    const wasReplaced = before.current !== "loading" && before.current !== view;
    before.current = view;
    if (wasReplaced && document.activeElement === document.body) {
      bar.current.querySelector("input, button").focus();
    }
    if (view === "signedIn") setIsUnfinished(false);
  }, [view]);

  return (
    <header className="portico-bar" ref={bar}>
      <h1>{productName}</h1>
      {view === "loading" && <Connecting />}
      {view === "signedIn" && <SignedIn user={user} onSignOut={signOut} />}
      {view === "signedOutHere" && <SignOutAgain onDone={() => setIsUnfinished(false)} />}
      {status === "signedOut" && <SignInForm notice={reasonOf(endedBy)} />}
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
  return (
    <>
      <p role="status">
        Signed in as <strong>{user.email}</strong> <span className="portico-role">{user.role}</span>
      </p>
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

function SignInForm({ notice }) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const message = busy ? "" : failure || notice;

  const submit = async (event) => {
    event.preventDefault();
    if (busy) return;
    const { email, password } = event.currentTarget.elements;
    setBusy(true);
    const outcome = await session
      .signIn({ email: email.value, password: password.value })
      .catch(({ code, message }) => ({ message: code ? message : UNREACHABLE }));
    if (outcome.__typename === "SignedIn") return; // this form is gone
    setBusy(false);
    setFailure(outcome.message);
    password.select();
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
          autoComplete="username"
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
    </form>
  );
}
