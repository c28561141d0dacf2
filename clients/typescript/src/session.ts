import { ageSince } from "./age.js";
import { resultOf, verdictOf } from "./answers.js";
import { exclusiveRunner } from "./exclusive.js";
import { documents, type RefreshMutation, type SessionFragment } from "./generated.js";
import { memory } from "./memory.js";
import type { Session, SessionEnd, SessionOptions, SessionStatus, User } from "./types.js";

const REQUEST_TIMEOUT_MS = 30_000;
const EARLY_MS = 60_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

type Operation = keyof typeof documents;

/** What a request of this session ends with: a new session, or the same one with new tokens. */
type Outcome = { __typename: string } & Partial<SessionFragment>;

/** The state of a session, and what tabs tell each other about it. */
interface State {
  status: SessionStatus;
  user: User | null;
  endedBy: SessionEnd | null;
  accessToken?: string;
  /** In milliseconds. */
  lifetime: number;
  /** When the token was requested, as `Date.now()`. */
  issuedAt: number;
  /** Whether somebody signed in: a refresh in another tab does not undo a sign-out in this one. */
  isNew?: boolean;
}

const visible = ({ status, user, endedBy }: State) => JSON.stringify([status, user, endedBy]);
const nobody = { user: null, endedBy: null, lifetime: 0, issuedAt: 0 };

export function createSession({ url, delivery = "COOKIE", storage, fetch: ownFetch }: SessionOptions): Session {
  const send: typeof fetch = (...request) => (ownFetch ?? fetch)(...request);
  const page = globalThis.location;
  const endpoint = new URL(url, page?.href);
  const name = `portico ${endpoint.origin}${endpoint.pathname}`;
  const byCookie = delivery === "COOKIE";
  const kept = storage ?? memory();
  const deviceKey = `${name} device`;

  // Without a page, as in Node, one process may have sessions of several users.
  const isShared = page && (byCookie || storage === globalThis.localStorage);
  let channel = isShared && globalThis.BroadcastChannel ? new BroadcastChannel(name) : undefined;
  const exclusively = exclusiveRunner(isShared ? name : undefined);

  const closing = new AbortController();
  const delivered = byCookie ? { delivery } : {};
  const listeners = new Set<() => void>();
  const mayContinue = byCookie || kept.getItem(name);
  let state: State = { ...nobody, status: mayContinue ? "loading" : "signedOut" };
  let age = ageSince(0);
  let signOuts = 0;
  let unfinished: string | null = null; // the refresh token of a sign-out that the server has not heard of
  let refreshing: Promise<void> | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let settle: () => void;
  const ready = new Promise<void>((resolve) => (settle = resolve));

  /** Takes this state over, and calls the listeners if that changes what they see. */
  function show(next: State) {
    const changed = visible(next) !== visible(state);
    state = changed ? next : { ...next, user: state.user, endedBy: state.endedBy };
    age = ageSince(next.issuedAt);
    failures = 0;
    clearTimeout(retry);
    if (state.status !== "loading") settle();
    if (changed) for (const listener of listeners) listener();
  }

  function change(next: State) {
    show(next);
    channel?.postMessage(next);
  }

  function end(endedBy: SessionEnd | null) {
    kept.removeItem(name);
    change({ ...nobody, status: "signedOut", endedBy });
  }

  function requestOf(operation: Operation, input: object, accessToken?: string) {
    const deviceToken = kept.getItem(deviceKey);
    return new Request(endpoint, {
      method: "POST",
      headers: {
        Accept: "application/graphql-response+json",
        "Content-Type": "application/json",
        ...(deviceToken && { "Portico-Device": deviceToken }),
        ...(accessToken && { Authorization: `Bearer ${accessToken}` }),
      },
      body: JSON.stringify({ query: documents[operation], variables: { input } }),
      credentials: byCookie ? "include" : "omit",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
  }

  const ask = async <Result>(operation: Operation, input: object, accessToken?: string) =>
    resultOf<Result>(await send(requestOf(operation, input, accessToken)));

  /** Continues with these tokens, unless somebody signed out while they were on their way. */
  async function adopt({ user, tokens }: SessionFragment, issuedAt: number, before: number, isNew: boolean) {
    const { accessToken, refreshToken, deviceToken, accessTokenExpiresIn } = tokens;
    if (before !== signOuts) {
      await ask("SignOut", { refreshToken }, accessToken).catch(() => {});
      return;
    }
    unfinished = null;
    if (refreshToken) kept.setItem(name, refreshToken);
    if (deviceToken) kept.setItem(deviceKey, deviceToken);
    const lifetime = accessTokenExpiresIn * 1_000;
    change({ status: "signedIn", user, endedBy: null, accessToken, lifetime, issuedAt, isNew });
  }

  /** Gets new tokens in place of this access token, unless that has happened meanwhile. */
  async function renew(stale: string | undefined) {
    if (state.accessToken !== stale || state.status === "signedOut") return;
    const issuedAt = Date.now();
    const before = signOuts;
    const outcome = await ask<RefreshMutation["result"]>("Refresh", { refreshToken: kept.getItem(name) });
    if (outcome.__typename === "SignedIn") await adopt(outcome, issuedAt, before, false);
    else if (outcome.__typename === "RateLimited") throw Object.assign(new Error(outcome.message), outcome);
    else if (before === signOuts) {
      const { reason, message } = outcome;
      const isGuest = state.status === "loading" && reason === "UNKNOWN_TOKEN";
      end(isGuest ? null : { reason, message });
    }
  }

  const refresh = (stale: string | undefined) =>
    (refreshing ??= exclusively(() => renew(stale))
      .catch((error) => {
        tryAgain(error.retryAfter);
        throw error;
      })
      .finally(() => (refreshing = undefined)));

  const refreshQuietly = () => void refresh(state.accessToken).catch(() => {});

  function tryAgain(seconds = 0) {
    if (closing.signal.aborted) return;
    const delay = Math.min(FIRST_RETRY_MS * 2 ** failures, LAST_RETRY_MS);
    failures += 1;
    clearTimeout(retry);
    retry = setTimeout(refreshQuietly, Math.max(delay * (0.5 + Math.random()), seconds * 1_000));
  }

  const isDue = () => age() > state.lifetime - Math.min(EARLY_MS, state.lifetime / 4);

  /** Sends a request with the access token, and once more if it was refused before it ran. */
  async function deliver(request: Request, renewal: typeof renew) {
    let { user } = state;
    if (state.status === "loading" || (user && isDue()))
      await renewal(state.accessToken).catch((error) => {
        if (age() > state.lifetime) throw error;
      });
    user ??= state.user;
    // What one user asked for is not done in the name of another.
    const token = () => (state.user?.id === user?.id ? state.accessToken : undefined);
    const authorized = () => {
      const copy = request.clone();
      if (token()) copy.headers.set("Authorization", `Bearer ${token()}`);
      return copy;
    };
    const sent = token();
    const response = await send(authorized());
    if (!sent) return response;
    const { unauthenticated, nothingRan } = await verdictOf(response);
    if (!unauthenticated) return response;
    await renewal(sent).catch(() => {});
    return token() && token() !== sent && nothingRan ? send(authorized()) : response;
  }

  /** Runs a mutation that may begin a session; no refresh of a former one happens meanwhile. */
  const mutate = <Result extends Outcome>(operation: Operation, input: object, isNew = true) =>
    exclusively(async () => {
      const before = signOuts;
      const issuedAt = Date.now();
      const response = await deliver(requestOf(operation, input), (stale) => renew(stale).catch(() => {}));
      const { tokens, ...outcome } = await resultOf<Result>(response);
      if (tokens) await adopt({ ...outcome, tokens } as unknown as SessionFragment, issuedAt, before, isNew);
      return outcome as never;
    });

  async function signOut({ everywhere = false } = {}) {
    const { accessToken } = state;
    unfinished = kept.getItem(name) ?? unfinished;
    signOuts += 1;
    end(null);
    await exclusively(async () => {
      if (everywhere) await signOutEverywhere();
      else await ask("SignOut", { refreshToken: unfinished }, accessToken);
      unfinished = null;
    });
  }

  async function signOutEverywhere() {
    // Only a valid access token ends the other sessions.
    const outcome = await ask<RefreshMutation["result"]>("Refresh", { refreshToken: unfinished });
    if (outcome.__typename !== "SignedIn") throw new Error(outcome.message);
    unfinished = outcome.tokens.refreshToken;
    await ask("SignOutEverywhere", {}, outcome.tokens.accessToken);
  }

  const isOurs = (request: Request) => {
    const { origin, pathname } = new URL(request.url);
    return origin === endpoint.origin && pathname === endpoint.pathname && !request.headers.has("Authorization");
  };

  if (channel)
    channel.onmessage = ({ data }: MessageEvent<State>) => {
      if (state.status === "signedOut" && !data.isNew) return;
      if (data.status === "signedOut" && !data.endedBy) signOuts += 1;
      show(data);
    };
  globalThis.addEventListener?.("online", () => failures && refreshQuietly(), { signal: closing.signal });
  if (state.status === "signedOut") settle!();
  else if (page || !byCookie) refreshQuietly();

  return {
    get status() {
      return state.status;
    },
    get user() {
      return state.user;
    },
    get endedBy() {
      return state.endedBy;
    },
    ready,
    signIn: (input) => mutate("SignIn", { ...input, ...delivered }),
    register: (input) => mutate("Register", { ...input, ...delivered }),
    verifyEmail: (input) => mutate("VerifyEmail", { ...input, ...delivered }),
    changePassword: (input) => mutate("ChangePassword", input, false),
    signOut,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    fetch: async (input, init) => {
      const request = new Request(input, init);
      if (!isOurs(request)) return send(request);
      return deliver(byCookie ? new Request(request, { credentials: "include" }) : request, refresh);
    },
    close() {
      closing.abort();
      clearTimeout(retry);
      listeners.clear();
      channel?.close();
      channel = undefined;
    },
  };
}
