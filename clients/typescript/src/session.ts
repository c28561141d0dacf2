import { ageSince } from "./age.js";
import { failure, refusalIn, resultOf } from "./answers.js";
import * as documents from "./documents.js";
import { exclusiveRunner } from "./exclusive.js";
import type { Session, SessionEnd, SessionOptions, StepUpRequired, User } from "./types.js";

const enum Milliseconds {
  RequestTimeout = 30_000,
  FirstRetry = 1_000,
  LastRetry = 30_000,
}

/** The part of its lifetime after which an access token is replaced. */
const enum Share {
  Used = 0.9,
}

/** What tabs tell each other about the session. */
type News = [
  user: User | null,
  endedBy: SessionEnd | null,
  accessToken?: string,
  lifetimeMs?: number,
  issuedAt?: number,
];

/** The outcomes of the mutations, in one. */
type Outcome = Partial<SessionEnd> & {
  user: User;
  tokens?: { accessToken: string; accessTokenExpiresIn: number; refreshToken: string | null };
};

const ignore = () => {};
const signedOut = () => failure("Signed out.", { code: "SIGNED_OUT" });
const { stringify } = JSON;
const STEP_UP_REQUIRED = "STEP_UP_REQUIRED";

export function createSession({
  url,
  delivery = "COOKIE",
  storage,
  fetch: send = fetch,
  stepUp,
}: SessionOptions): Session {
  const endpoint = addressOf(new Request(url));
  const name = `portico ${endpoint}`;
  const byCookie = delivery !== "BODY";
  const credentials: RequestInit = byCookie ? { credentials: "include" } : {};

  // Without a page, as in Node, one process may have sessions of several users.
  const page = globalThis.location;
  const isShared = page && (byCookie || (storage && storage === localStorage));
  const locks = isShared ? navigator.locks : undefined;
  const exclusively = exclusiveRunner(locks, name);
  let channel = locks && new BroadcastChannel(name); // all browsers with the one have the other

  const listeners = new Set<() => void>();
  let settle: () => void;
  const ready = new Promise<void>((resolve) => (settle = resolve));

  let loading = true;
  let user: User | null = null;
  let endedBy: SessionEnd | null = null;
  let accessToken: string | undefined;
  let lifetime = 0;
  let age = ageSince(0);

  let signOuts = 0;
  let refreshing: Promise<void> | undefined;
  let retry: ReturnType<typeof setTimeout>;
  let failures = 0;
  let closed: true | undefined;

  let lastProof: Promise<string | undefined> | undefined;
  let endProof: (isProved?: boolean | void) => void = ignore;
  const isProving = () => endProof !== ignore;
  const proofNow = () => [lastProof, isProving()] as const;

  let inMemory = "";
  const kept = () => (storage ? storage.getItem(name) : inMemory) || null;
  function keep(refreshToken: string) {
    if (storage) storage.setItem(name, refreshToken);
    else inMemory = refreshToken;
  }

  function show(...[nextUser, nextEnd, token, lifetimeMs = Infinity, issuedAt = 0]: News) {
    const changed = loading || stringify([user, endedBy]) !== stringify([nextUser, nextEnd]);
    accessToken = token;
    lifetime = lifetimeMs;
    age = ageSince(issuedAt);
    loading = false;
    failures = 0;
    clearTimeout(retry);
    if (!nextUser) signOuts++;
    if (user?.id !== nextUser?.id) endProof();
    if (!changed) return;
    user = nextUser;
    endedBy = nextEnd;
    settle();
    for (const listener of listeners) listener();
  }

  function change(isSignIn: boolean, ...news: News) {
    channel?.postMessage([isSignIn, ...news]);
    show(...news);
  }

  /** A refresh in another tab does not undo a sign-out in this one; a sign-in does. */
  function hear({ data: [isSignIn, ...news] }: MessageEvent<[boolean, ...News]>) {
    if (loading || user || isSignIn) show(...news);
  }

  function sendAs(request: Request, token?: string) {
    if (token) request.headers.set("Authorization", `Bearer ${token}`);
    return send(request);
  }

  async function ask(document: string, input: object, token?: string) {
    const request = new Request(endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: stringify({ query: document, variables: { i: input } }),
      signal: AbortSignal.timeout(Milliseconds.RequestTimeout),
      ...credentials,
    });
    return resultOf<Outcome>(await sendAs(request, token));
  }

  /** Asks for tokens and continues with them; rejects if somebody signed out while they were on their way. */
  async function obtain(isSignIn: boolean, document: string, input: object, token?: string) {
    const before = signOuts;
    const issuedAt = Date.now();
    const { tokens, ...outcome } = await ask(document, input, token);
    if (tokens) {
      if (signOuts !== before) {
        await ask(documents.logout, {}, tokens.accessToken).catch(ignore);
        throw signedOut();
      }
      keep(tokens.refreshToken ?? "");
      change(isSignIn, outcome.user, null, tokens.accessToken, tokens.accessTokenExpiresIn * 1_000, issuedAt);
    }
    return outcome;
  }

  /** Replaces this access token, unless that has happened meanwhile. */
  async function renew(stale: string | undefined) {
    if (accessToken !== stale || !(loading || user)) return;
    const outcome = await obtain(false, documents.refreshSession, { refreshToken: kept() });
    if (outcome.user || !(loading || user)) return;
    if (!outcome.reason) throw failure(outcome.message as string, { code: "RATE_LIMITED" });
    keep("");
    change(false, null, user || outcome.reason !== "UNKNOWN_TOKEN" ? (outcome as SessionEnd) : null);
  }

  const refresh = (stale = accessToken) =>
    (refreshing ??= exclusively(() => renew(stale))
      .catch((error) => {
        // The page may not use the cookie, and will not be allowed to by waiting.
        if (error.code === "FORBIDDEN") show(null, null);
        clearTimeout(retry);
        const delay = Math.min(Milliseconds.FirstRetry * 2 ** failures, Milliseconds.LastRetry);
        failures++;
        // Not at the same time as all other clients of a server that has restarted.
        if (!closed) retry = setTimeout(refreshQuietly, delay * (1 + Math.random()));
        throw error;
      })
      .finally(() => (refreshing = undefined)));

  const refreshQuietly = () => void refresh().catch(ignore);

  /**
   * Lets the user prove who they are, once for all requests that were begun before that; returns the
   * access token of that moment, whose `auth_time` is older, or nothing if there was no proof.
   */
  async function prove(
    [proofBefore, wasProving]: ReturnType<typeof proofNow>,
    { methods, maxAge }: StepUpRequired,
  ) {
    if (!stepUp) return;
    if (lastProof === proofBefore) {
      // The callback may have sent this request itself, and would wait for its own end.
      if (isProving()) return;
      // That of a request which was refused after the callback has ended counts for it as well.
      if (!wasProving)
        lastProof = new Promise((resolve) => {
          const end: typeof endProof = (isProved) => {
            // The callback of a former user may end at any time, or never.
            if (endProof !== end) return;
            endProof = ignore;
            resolve(isProved ? accessToken : undefined);
          };
          endProof = end;
          // Not at once, so that requests which the callback sends begin after this assignment.
          Promise.resolve({ methods, maxAge })
            .then(stepUp)
            .catch((error) => void console.error(error))
            .then(end);
        });
    }
    return lastProof;
  }

  /** Sends a request with the access token; once more each if it was refused for that, or for an old proof. */
  async function deliver(request: Request) {
    const proofBefore = proofNow();
    let owner = user;
    // What one user asked for is not done in the name of another.
    const token = () => (user?.id === owner?.id ? accessToken : undefined);
    const send = () => sendAs(new Request(request.clone(), credentials), token());

    async function attempt() {
      if (age() > lifetime * Share.Used)
        await refresh().catch((error) => {
          if (age() > lifetime) throw error;
        });
      owner ??= user;
      const sent = token();
      const response = await send();
      const [refusal, nothingRan] = await refusalIn(response, "UNAUTHENTICATED");
      if (!refusal) return response;
      await refresh(sent).catch(ignore);
      return nothingRan && token() && token() !== sent ? send() : response;
    }

    const response = await attempt();
    const [refusal, nothingRan] = await refusalIn(response, STEP_UP_REQUIRED);
    // Nobody waits for the answer of an aborted request.
    const mayAsk = refusal && !request.signal.aborted;
    const stale = mayAsk && (await prove(proofBefore, refusal as StepUpRequired));
    if (!stale) return response;
    try {
      return nothingRan && token() ? await attempt() : response;
    } finally {
      // Other services look at `auth_time`. Not earlier: the answer may change the cookie, too.
      refresh(stale).catch(ignore);
    }
  }

  /** Runs a mutation that returns tokens, while no refresh of a former session is on its way. */
  const mutate = (isSignIn: boolean, document: string, input: object, owner = user?.id) =>
    exclusively(async () => {
      await renew(accessToken);
      // What one user asked for is not done in the name of another.
      if (!isSignIn && user?.id !== owner) throw signedOut();
      return (await obtain(isSignIn, document, input, accessToken)) as never;
    });

  const signInBy = (document: string) => (input: object) =>
    mutate(true, document, { ...input, delivery });

  function changePassword(input: object) {
    const proofBefore = proofNow();
    const owner = user?.id;
    const attempt = () => mutate(false, documents.changePassword, input, owner);
    return attempt().catch(async (refusal) => {
      if (refusal.code !== STEP_UP_REQUIRED || !(await prove(proofBefore, refusal))) throw refusal;
      return attempt();
    });
  }

  async function signOut() {
    change(false, null, null);
    await exclusively(async () => {
      await ask(documents.logout, { refreshToken: kept() });
      keep("");
      change(false, null, null); // also what signed in meanwhile
    });
  }

  if (channel) channel.onmessage = hear;
  if (page) addEventListener("online", refreshQuietly);
  if (byCookie ? page : kept()) refreshQuietly();
  else if (!byCookie) show(null, null);

  return {
    url: endpoint,
    get status() {
      return loading ? "loading" : user ? "signedIn" : "signedOut";
    },
    get user() {
      return user;
    },
    get endedBy() {
      return endedBy;
    },
    ready,
    signIn: signInBy(documents.login),
    register: signInBy(documents.register),
    verifyEmail: signInBy(documents.verifyEmail),
    answerChallenge: signInBy(documents.answerChallenge),
    signInWithPasskey: signInBy(documents.signInWithPasskey),
    changePassword,
    signOut,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async fetch(input, init) {
      const request = new Request(input, init);
      const isOurs = addressOf(request) === endpoint && !request.headers.has("Authorization");
      return isOurs ? deliver(request) : send(request);
    },
    close() {
      closed = true;
      clearTimeout(retry);
      if (page) removeEventListener("online", refreshQuietly);
      listeners.clear();
      channel?.close();
      channel = undefined;
    },
  };
}

/** Origin and path. */
const addressOf = ({ url }: Request) => url.split(/[?#]/)[0] as string;
