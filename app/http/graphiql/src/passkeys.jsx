// Whether this page can use passkeys, where it could, and what came of a request for one.
import { passkeysSupported } from "@portico/client/passkeys";
import { useEffect, useState } from "react";
import { ask, toMessage } from "./session.js";

const LOOPBACK_ADDRESS = /^(127\.[\d.]+|\[::1\])$/;
const elsewhere = LOOPBACK_ADDRESS.test(location.hostname) && "localhost";

/** The person closed the dialog of the browser, or it found no passkey: browsers do not say which. */
const NO_PASSKEY = { message: "No passkey was used. Try again." };

/** Returns the outcome of a request for a passkey, or else a `message` for the person. */
export const outcomeOf = (request) =>
  request.then((outcome) => outcome ?? NO_PASSKEY, toMessage);

/** Whether both the server and this page can use passkeys, and whether the server can; false until it has said so. */
export function usePasskeys() {
  const [isOffered, setIsOffered] = useState(false);
  useEffect(() => {
    ask("{ result: server { signInMethods } }").then(({ signInMethods = [] }) =>
      setIsOffered(signInMethods.includes("PASSKEY")),
    );
  }, []);
  return [isOffered && passkeysSupported(), isOffered];
}

/** Browsers make no passkeys for addresses: shown in place of a button that would fail. */
export function PasskeysElsewhere() {
  if (passkeysSupported() || !elsewhere) return null;
  const url = new URL(location.pathname, location.origin);
  url.hostname = elsewhere;
  return (
    <p>
      Passkeys need <a href={url.href}>{url.href}</a>
    </p>
  );
}
