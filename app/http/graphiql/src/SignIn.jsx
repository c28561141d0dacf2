import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { productName } from "./product.js";
import { signIn, signOut, snapshot, subscribe } from "./session.js";

export function SignIn() {
  const { user, notice } = useSyncExternalStore(subscribe, snapshot);
  const bar = useRef(null);
  const email = user?.email; // a refresh brings a new user object for the same person
  const shown = useRef(email);

  // The focused control was removed with its form: move the focus to its successor, but do not
  // take it from another element (a session may end while a user is typing a query).
  useEffect(() => {
    const changed = shown.current !== email;
    shown.current = email;
    if (changed && document.activeElement === document.body) {
      bar.current.querySelector("input, button").focus();
    }
  }, [email]);

  return (
    <header className="portico-bar" ref={bar}>
      <h1>{productName}</h1>
      {user ? <SignedIn user={user} /> : <SignInForm notice={notice} />}
    </header>
  );
}

function SignedIn({ user }) {
  const [busy, setBusy] = useState(false);
  const leave = () => {
    if (busy) return;
    setBusy(true);
    signOut();
  };
  return (
    <>
      <p role="status">
        Signed in as <strong>{user.email}</strong> <span className="portico-role">{user.role}</span>
      </p>
      <button type="button" onClick={leave} aria-disabled={busy}>
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
    const problem = await signIn(email.value, password.value);
    if (!problem) return; // this form is gone
    setBusy(false);
    setFailure(problem);
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
