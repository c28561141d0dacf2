// Who is signed in on this page, and how its requests carry that. Tokens live in this module's
// memory and nowhere else: a reload signs out, and nothing on the disk can be stolen.

const ENDPOINT = "/graphql";
const RETRY_MS = 30_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1; // beyond it, browsers fire at once

const SIGNED_IN = `
  ... on SignedIn {
    user { email role }
    tokens { accessToken accessTokenExpiresAt refreshToken }
  }
  ... on Problem { message }`;
const LOGIN = `mutation SignIn($input: LoginInput!) {
  result: login(input: $input) { __typename ${SIGNED_IN} }
}`;
const REFRESH = `mutation Refresh($input: RefreshSessionInput!) {
  result: refreshSession(input: $input) { __typename ${SIGNED_IN} }
}`;
const LOGOUT = "mutation SignOut { logout { sessionsEnded } }";

let tokens = null; // { access, refresh, refreshAt }
let refreshing = null; // the one refresh under way, shared by all who wait for it
let timer;
let serverAhead = 0; // milliseconds between the server's clock, which sets expiry times, and ours
let mutations = null; // the names the running schema has; null until it is known
let state = { user: null, notice: "" }; // what the page shows
const listeners = new Set();

export const subscribe = (listener) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
export const snapshot = () => state;

/** An older Portico may lack refreshSession and logout: the schema GraphiQL fetched tells. */
export function learn(schema) {
  mutations = new Set(Object.keys(schema.getMutationType()?.getFields() ?? {}));
  schedule();
}

/** Resolves to nothing when signed in, and to a text for the person when not. */
export async function signIn(email, password) {
  try {
    const answer = await post({ query: LOGIN, variables: { input: { email, password } } });
    const result = answer.data?.result;
    if (result?.__typename !== "SignedIn") return result?.message ?? messageOf(answer);
    begin(result);
  } catch {
    return "Portico could not be reached.";
  }
}

export async function signOut() {
  await refreshing; // or it would bring back the session that we are about to end
  let told = true;
  if (has("logout")) {
    const answer = await fetcher({ query: LOGOUT }).catch(() => ({}));
    told = Boolean(answer.data?.logout) || !tokens; // no tokens: it had ended already
  }
  end(told ? "" : "Signed out here. Portico could not be told: the session runs until it expires.");
}

/** GraphiQL's fetcher: the page's token goes along unless the headers editor names its own. */
export async function fetcher({ query, variables, operationName }, { headers } = {}) {
  const body = { query, variables, operationName };
  if (!tokens || namesAuthorization(headers)) return post(body, headers);

  if (has("refreshSession") && Date.now() >= tokens.refreshAt) await refresh();
  if (!tokens) return post(body, headers);
  const sent = tokens.access;
  const answer = await post(body, { ...headers, Authorization: `Bearer ${sent}` });
  if (!isUnauthenticated(answer)) return answer;

  if (tokens?.access === sent) await refresh();
  const renewed = tokens && tokens.access !== sent;
  // Only what did nothing is sent again: a mutation beside the refused field may have run.
  const nothingDone = Object.values(answer.data ?? {}).every((value) => value === null);
  if (!renewed || !nothingDone) return answer;
  return post(body, { ...headers, Authorization: `Bearer ${tokens.access}` });
}

async function post(body, headers) {
  const response = await fetch(ENDPOINT, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json, application/json;q=0.9",
      "Content-Type": "application/json",
      ...headers,
    },
    body: JSON.stringify(body),
  });
  const servedAt = Date.parse(response.headers.get("Date"));
  if (servedAt) serverAhead = servedAt - Date.now();
  return response.json().catch(() => {
    throw new Error(`The answer (HTTP ${response.status}) is not JSON.`);
  });
}

function refresh() {
  refreshing ??= renew().finally(() => (refreshing = null));
  return refreshing;
}

async function renew() {
  const { refresh: refreshToken } = tokens;
  if (!has("refreshSession")) return end("Your session has expired. Please sign in again.");
  const request = { query: REFRESH, variables: { input: { refreshToken } } };
  const answer = await post(request).catch(() => ({}));
  if (tokens?.refresh !== refreshToken) return; // signed out meanwhile
  const result = answer.data?.result;
  const refused = codeOf(answer) === "GRAPHQL_VALIDATION_FAILED";
  if (result?.__typename === "SignedIn") begin(result);
  else if (result?.__typename === "SessionEnded") end(`${result.message} Please sign in again.`);
  else if (refused) end("Your session has expired. Please sign in again.");
  else postpone(); // unreachable, rate limited, an internal error: the session may well live
}

function begin({ user, tokens: issued }) {
  const now = Date.now();
  const lifetime = Date.parse(issued.accessTokenExpiresAt) - (now + serverAhead);
  tokens = {
    access: issued.accessToken,
    refresh: issued.refreshToken,
    // A minute ahead, or a quarter of its life where that is shorter.
    refreshAt: now + lifetime - Math.min(60_000, lifetime / 4),
  };
  show({ user, notice: "" });
  schedule();
}

function end(notice) {
  tokens = null;
  clearTimeout(timer);
  show({ user: null, notice });
}

function postpone() {
  tokens.refreshAt = Date.now() + RETRY_MS;
  schedule();
}

// Without refreshSession the token is used to its end; the refusal then signs out.
function schedule() {
  clearTimeout(timer);
  if (!tokens || !has("refreshSession")) return;
  const delay = Math.max(tokens.refreshAt - Date.now(), 1_000);
  timer = setTimeout(refresh, Math.min(delay, LONGEST_TIMER_MS));
}

function show(next) {
  state = next;
  listeners.forEach((listener) => listener());
}

const has = (mutation) => mutations === null || mutations.has(mutation);
const namesAuthorization = (headers = {}) =>
  Object.keys(headers).some((name) => name.toLowerCase() === "authorization");
const codeOf = (answer) => answer.errors?.[0]?.extensions?.code;
const messageOf = (answer) => answer.errors?.[0]?.message ?? "The answer could not be understood.";
const isUnauthenticated = (answer) =>
  Boolean(answer.errors?.some((error) => error.extensions?.code === "UNAUTHENTICATED"));
