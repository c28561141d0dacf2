import { useSession } from "@portico/client/react";
import { useEffect, useRef, useState } from "react";
import { productName } from "./product.js";
import { session } from "./session.js";

const UNREACHABLE = "Portico could not be reached.";
const NOT_TOLD = "Signed out here. Portico could not be told: the session runs until it expires.";

export function SignIn() {
  const { status, user, endedBy } = useSession(session);
  const [notice, setNotice] = useState("");
  const bar = useRef(null);
  const before = useRef(status);
  const leave = () => session.signOut().catch(() => setNotice(NOT_TOLD));

  // The focused control was removed with its form: move the focus to its successor, but do not
  // take it from another element (a session may end while a user is typing a query).
  useEffect(() => {
    const wasReplaced = before.current !== "loading" && before.current !== status;
    before.current = status;
    if (wasReplaced && document.activeElement === document.body) {
      bar.current.querySelector("input, button").focus();
    }
    if (status === "signedIn") setNotice("");
  }, [status]);

  return (
    <header className="portico-bar" ref={bar}>
      <h1>{productName}</h1>
      {status === "signedIn" && <SignedIn user={user} onLeave={leave} />}
      {status === "signedOut" && <SignInForm notice={notice || reasonOf(endedBy)} />}
    </header>
  );
}

const reasonOf = (endedBy) => (endedBy ? `${endedBy.message} Please sign in again.` : "");

function SignedIn({ user, onLeave }) {
  return (
    <>
      <p role="status">
        Signed in as <strong>{user.email}</strong> <span className="portico-role">{user.role}</span>
      </p>
      <button type="button" onClick={onLeave}>
        Sign out
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
