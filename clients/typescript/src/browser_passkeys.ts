// The browser's WebAuthn API. Browsers allow one request at a time in a page.

let last: Promise<unknown> = Promise.resolve();
let stopLast = () => {};

/** Asks the browser, once the request before is aborted. */
export function askBrowser<Answer>(
  request: (signal: AbortSignal) => Promise<Answer>,
  signal?: AbortSignal,
): Promise<Answer> {
  stopLast();
  const stop = new AbortController();
  stopLast = () => stop.abort();
  const answer = last.then(() => request(AbortSignal.any(signal ? [stop.signal, signal] : [stop.signal])));
  last = answer.catch(() => {});
  return answer;
}

/** Resolves when the page has no request. */
export async function untilIdle() {
  for (let seen; seen !== last; ) await (seen = last);
}

/** Returns null for what the person, or the app, did not want to go on with. */
export function nullIfEnded(error: { name: string }): null {
  if (error.name === "AbortError" || error.name === "NotAllowedError") return null;
  throw error;
}

const toJSON = (credential: Credential | null): object => (credential as PublicKeyCredential).toJSON();

export const createPasskey = (options: unknown) => async (signal: AbortSignal) => {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(
    options as PublicKeyCredentialCreationOptionsJSON,
  );
  return toJSON(await navigator.credentials.create({ publicKey, signal }));
};

export const getPasskey =
  (options: unknown, mediation: CredentialMediationRequirement = "optional") =>
  async (signal: AbortSignal) => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(
      options as PublicKeyCredentialRequestOptionsJSON,
    );
    return toJSON(await navigator.credentials.get({ publicKey, mediation, signal }));
  };

// Browsers make no passkeys for addresses, also where the page is secure.
const ADDRESS = /^[\d.]+$|^\[/;

export function passkeysSupported(): boolean {
  const { PublicKeyCredential, location } = globalThis;
  return (
    !!PublicKeyCredential &&
    "parseCreationOptionsFromJSON" in PublicKeyCredential &&
    "parseRequestOptionsFromJSON" in PublicKeyCredential &&
    "toJSON" in PublicKeyCredential.prototype &&
    !ADDRESS.test(location.hostname)
  );
}
