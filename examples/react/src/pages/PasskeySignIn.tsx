import { signInWithPasskey, type PasskeySignInOptions } from "@portico/client/passkeys";
import { useEffect, useState } from "react";
import { done, explain, NO_PASSKEY, problem, unhandled, type Result } from "../results";
import { session } from "../session";
import { Form } from "../ui/Form";

async function signIn(options?: PasskeySignInOptions): Promise<Result> {
  const outcome = await signInWithPasskey(session, options);
  switch (outcome?.__typename) {
    case undefined:
      return NO_PASSKEY;
    case "SignedIn":
      return done("You are signed in."); // GuestLayout redirects now
    case "PasskeyRefused":
    case "RateLimited":
      return problem(outcome);
    default:
      return unhandled(outcome);
  }
}

/** Signs in with a passkey, by its button, or by the browser's autofill of the fields with `webauthn`. */
export function PasskeySignIn() {
  const [refusal, setRefusal] = useState("");

  useEffect(() => {
    const leaving = new AbortController();
    // Each round ends when the person has chosen a passkey, or for good.
    async function offer() {
      const result = await signIn({ autofill: true, signal: leaving.signal });
      if (result.ok || result === NO_PASSKEY) return;
      setRefusal(result.message);
      await offer();
    }
    offer().catch((error: unknown) => { setRefusal(explain(error)); });
    return () => { leaving.abort(); };
  }, []);

  async function submit() {
    setRefusal("");
    return signIn();
  }

  return (
    <>
      <Form submit={submit} button="Sign in with a passkey" look="quiet" />
      <p role="alert">{refusal}</p>
    </>
  );
}
