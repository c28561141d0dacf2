// Accounts, as a client without this package sees them.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

export const password = "difference engine 1";

export async function ask(url, query, variables, headers) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}

/** Registers somebody, and signs out. */
export async function register(url, displayName = null) {
  const email = `${randomUUID()}@example.com`;
  const { data } = await ask(
    url,
    `mutation ($input: RegisterInput!) { register(input: $input) { ... on Problem { message } ... on SignedIn {
       user { id email emailVerified displayName role } tokens { accessToken } } } }`,
    { input: { email, password, displayName } },
  );
  assert.deepEqual(data.register.message, undefined);
  const { user, tokens } = data.register;
  await ask(url, "mutation { logout { sessionsEnded } }", {}, bearer(tokens.accessToken));
  return user;
}

/** Signs in and returns the tokens. */
export async function signIn(url, email) {
  const { data } = await ask(
    url,
    `mutation ($input: LoginInput!) { login(input: $input) { ... on SignedIn {
       tokens { accessToken refreshToken } } } }`,
    { input: { email, password } },
  );
  return data.login.tokens;
}

/** How many sessions a user has, without the one that asks. */
export async function sessionsOf(url, email) {
  const { accessToken } = await signIn(url, email);
  const { data } = await ask(url, "{ me { sessions { nodes { id } } } }", {}, bearer(accessToken));
  await ask(url, "mutation { logout { sessionsEnded } }", {}, bearer(accessToken));
  return data.me.sessions.nodes.length - 1;
}

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });
