import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createSession } from "@portico/client";
import { ask, password, register, sessionsOf, signIn } from "./accounts.js";
import { startProxy } from "./proxy.js";

const me = "query Me { me { email } }";
const rename = 'mutation Rename { updateProfile(input: { displayName: "Ada" }) { __typename } }';
const inputOf = (user) => ({ email: user.email, password });
const withInvalidToken = (text) => text.replace(/"accessToken":\s*"[^"]+"/, '"accessToken":"invalid"');

function storageOf(items = new Map()) {
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value) };
}

async function graphql(session, url, query, init = {}) {
  const response = await session.fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...init.headers },
    body: JSON.stringify({ query }),
  });
  return response.json();
}

export function inNode(world) {
  /** A user, and sessions that reach Portico by a network that can fail. */
  async function arrange(t) {
    const proxy = await startProxy(world.portico.url);
    const user = await register(proxy.url);
    proxy.forget();
    const sessions = [];
    t.after(() => {
      for (const session of sessions) session.close();
      proxy.close();
    });
    const open = (options) => {
      const session = createSession({ url: proxy.url, delivery: "BODY", ...options });
      sessions.push(session);
      return session;
    };
    const openSignedIn = async (options) => {
      const session = open(options);
      await session.signIn(inputOf(user));
      proxy.forget();
      return session;
    };
    const answer = (session, query, init) => graphql(session, proxy.url, query, init);
    return { proxy, user, open, openSignedIn, answer };
  }

  test("without a stored token nobody is signed in, and nothing is asked", async (t) => {
    const { proxy, open } = await arrange(t);
    const session = open();

    await session.ready;

    assert.deepEqual([session.status, session.user, session.endedBy], ["signedOut", null, null]);
    assert.deepEqual(proxy.requests, []);
  });

  test("signing in returns the outcome without tokens, and requests are authorized", async (t) => {
    const { user, open, answer } = await arrange(t);
    const session = open();

    const wrong = await session.signIn({ email: user.email, password: "not it" });
    const right = await session.signIn(inputOf(user));

    assert.deepEqual(wrong, {
      __typename: "InvalidCredentials",
      message: "The email address or the password is wrong.",
    });
    assert.deepEqual(right, { __typename: "SignedIn", user });
    assert.deepEqual([session.status, session.user, session.endedBy], ["signedIn", user, null]);
    assert.deepEqual(await answer(session, me), { data: { me: { email: user.email } } });
  });

  test("registering returns what is invalid, that the address is taken, or signs in", async (t) => {
    const { user, open } = await arrange(t);
    const session = open();
    const email = `new-${user.email}`;

    const invalid = await session.register({ email, password: "short" });
    const taken = await session.register({ email: user.email, password });
    const registered = await session.register({ email, password, displayName: "Ada" });

    assert.deepEqual([invalid.__typename, invalid.issues.map(({ path, code }) => [path, code])], [
      "InvalidInput",
      [[["password"], "TOO_SHORT"]],
    ]);
    assert.equal(taken.__typename, "EmailTaken");
    assert.equal(registered.__typename, "SignedIn");
    assert.deepEqual(registered.user, session.user);
    assert.deepEqual([session.user.email, session.user.displayName], [email, "Ada"]);
  });

  test("the token of an emailed link signs in", async (t) => {
    const { proxy, user, open } = await arrange(t);
    const session = open();
    await ask(
      proxy.url,
      "mutation ($input: EmailInput!) { requestEmailVerification(input: $input) { __typename } }",
      { input: { email: user.email } },
    );

    const outcome = await session.verifyEmail({ token: await world.portico.emailedToken(user.email) });

    assert.deepEqual(outcome, { __typename: "SignedIn", user: { ...user, emailVerified: true } });
    assert.deepEqual(session.user, { ...user, emailVerified: true });
  });

  test("after a change of password the session continues with the new tokens, and others end", async (t) => {
    const { proxy, user, open, openSignedIn, answer } = await arrange(t);
    const session = await openSignedIn();
    const other = open();
    await other.signIn(inputOf(user));

    const outcome = await session.changePassword({
      currentPassword: password,
      newPassword: "analytical engine 2",
    });
    proxy.forget();

    assert.deepEqual(outcome, { __typename: "PasswordChanged", user });
    assert.deepEqual(await answer(session, me), { data: { me: { email: user.email } } });
    assert.deepEqual(proxy.requests.map(({ name }) => name), ["Me"]);
    await answer(other, me);
    assert.deepEqual([other.status, other.endedBy?.reason], ["signedOut", "PASSWORD_CHANGED"]);
  });

  test("with a storage, the session continues in the next process", async (t) => {
    const { user, open, openSignedIn, answer } = await arrange(t);
    const storage = storageOf();
    const first = await openSignedIn({ storage });
    first.close();
    const next = open({ storage });
    assert.equal(next.status, "loading");

    await next.ready;

    assert.deepEqual([next.status, next.user], ["signedIn", user]);
    assert.deepEqual(await answer(next, me), { data: { me: { email: user.email } } });
  });

  test("sessions of two users in one process do not mix", async (t) => {
    const { proxy, user, open, openSignedIn, answer } = await arrange(t);
    const another = await register(proxy.url);
    const first = await openSignedIn({ storage: storageOf() });
    const second = open({ storage: storageOf() });

    await second.signIn(inputOf(another));
    await second.signOut();

    assert.deepEqual([first.status, first.user], ["signedIn", user]);
    assert.deepEqual(await answer(first, me), { data: { me: { email: user.email } } });
  });

  test("the token goes to the endpoint only, and not where the request has its own", async (t) => {
    const { proxy, openSignedIn } = await arrange(t);
    const session = await openSignedIn();
    const received = [];
    const stranger = createServer((request, response) => {
      received.push([request.url, request.headers.authorization]);
      response.end("{}");
    }).listen(0, "127.0.0.1");
    await once(stranger, "listening");
    t.after(() => stranger.close());
    const { port } = stranger.address();

    for (const url of [`http://localhost:${port}/graphql`, `http://127.0.0.1:${port}/graphql?x#y`])
      await (await session.fetch(url)).text();
    await (await session.fetch(new URL("/health/live", proxy.url))).text();
    const own = await graphql(session, proxy.url, me, { headers: { authorization: "Bearer own" } });

    assert.deepEqual(received, [
      ["/graphql", undefined],
      ["/graphql?x", undefined],
    ]);
    assert.deepEqual(own.data, { me: null });
    assert.deepEqual(proxy.requests, [{ name: "Me", authorization: "Bearer own" }]);
  });

  test("a request that was refused before it ran is sent once more, with a new token", async (t) => {
    const { proxy, user, open, answer } = await arrange(t);
    const session = open();
    proxy.changeAnswer("Login", withInvalidToken);
    await session.signIn(inputOf(user));
    proxy.forget();

    const answers = await Promise.all([answer(session, rename), answer(session, me), answer(session, me)]);

    assert.deepEqual(answers, [
      { data: { updateProfile: { __typename: "UserChanged" } } },
      { data: { me: { email: user.email } } },
      { data: { me: { email: user.email } } },
    ]);
    const names = proxy.requests.map(({ name }) => name).sort();
    assert.deepEqual(names, ["Me", "Me", "Me", "Me", "RefreshSession", "Rename", "Rename"]);
  });

  test("a mutation of which a part has run is not sent again", async (t) => {
    const { proxy, user, open, answer } = await arrange(t);
    const session = open();
    proxy.changeAnswer("Login", withInvalidToken);
    await session.signIn(inputOf(user));
    proxy.forget();

    const { data, errors } = await answer(
      session,
      `mutation Two {
         requestPasswordReset(input: { email: "${user.email}" }) { __typename }
         updateProfile(input: { displayName: "Ada" }) { __typename }
       }`,
    );

    assert.deepEqual(data, {
      requestPasswordReset: { __typename: "RequestAccepted" },
      updateProfile: null,
    });
    assert.deepEqual(errors.map(({ extensions }) => extensions.code), ["UNAUTHENTICATED"]);
    assert.deepEqual(proxy.requests.map(({ name }) => name), ["Two", "RefreshSession"]);
    assert.deepEqual(await answer(session, me), { data: { me: { email: user.email } } });
  });

  test("what one user asked for is not sent again with the token of another", async (t) => {
    const { proxy, user, open, answer } = await arrange(t);
    const another = await register(proxy.url);
    const session = open();
    proxy.changeAnswer("Login", withInvalidToken);
    await session.signIn(inputOf(user));
    proxy.forget();
    const release = proxy.holdAnswer("Rename");
    const renaming = answer(session, rename);
    while (!proxy.count("Rename")) await sleep(10);

    await session.signIn(inputOf(another));
    release();
    const { errors } = await renaming;

    assert.deepEqual(errors.map(({ extensions }) => extensions.code), ["UNAUTHENTICATED"]);
    assert.equal(proxy.count("Rename"), 1);
    assert.deepEqual(session.user, another);
  });

  test("a mutation whose answer was lost is not sent again", async (t) => {
    const { proxy, openSignedIn, answer } = await arrange(t);
    const session = await openSignedIn();
    proxy.dropAnswer("Rename");

    await assert.rejects(answer(session, rename), TypeError);

    assert.deepEqual(proxy.requests.map(({ name }) => name), ["Rename"]);
    assert.equal(session.status, "signedIn");
  });

  test("the lost answer of a refresh does not end the session", async (t) => {
    const { proxy, user, open, openSignedIn } = await arrange(t);
    const storage = storageOf();
    (await openSignedIn({ storage })).close();
    proxy.dropAnswer("RefreshSession");
    const session = open({ storage });

    await session.ready;

    assert.deepEqual([session.status, session.user], ["signedIn", user]);
    assert.equal(proxy.count("RefreshSession"), 2);
  });

  test("a server that is not available does not sign out", async (t) => {
    const { proxy, user, open, openSignedIn, answer } = await arrange(t);
    const storage = storageOf();
    (await openSignedIn({ storage })).close();
    const unavailable = '{"errors":[{"message":"Try again.","extensions":{"code":"SERVICE_UNAVAILABLE"}}]}';
    proxy.changeAnswer("RefreshSession", () => unavailable, 503);
    const session = open({ storage });

    await assert.rejects(answer(session, me), { message: "Try again.", code: "SERVICE_UNAVAILABLE" });
    const statusMeanwhile = session.status;
    await session.ready;

    assert.deepEqual([statusMeanwhile, session.status, session.user], ["loading", "signedIn", user]);
  });

  test("an answer that is not of Portico is an error", async (t) => {
    const { proxy, user, open } = await arrange(t);
    const session = open();
    proxy.changeAnswer("Login", () => "<h1>Bad gateway</h1>", 502);

    await assert.rejects(session.signIn(inputOf(user)), { message: "HTTP 502" });
  });

  test("signing out without a network signs out here, says so, and can be repeated", async (t) => {
    const { proxy, user, openSignedIn, answer } = await arrange(t);
    const storage = storageOf();
    const session = await openSignedIn({ storage });
    proxy.goDown();

    await assert.rejects(session.signOut(), TypeError);
    proxy.comeUp();

    assert.deepEqual([session.status, session.user], ["signedOut", null]);
    assert.deepEqual(await answer(session, me), { data: { me: null } });
    assert.equal(await sessionsOf(world.portico.url + "/graphql", user.email), 1);
    await session.signOut();
    assert.equal(await sessionsOf(world.portico.url + "/graphql", user.email), 0);
  });

  test("tokens that arrive after signing out are discarded, and their session is ended", async (t) => {
    const { proxy, user, open } = await arrange(t);
    const session = open();
    const release = proxy.holdAnswer("Login");
    const signingIn = session.signIn(inputOf(user));
    while (!proxy.count("Login")) await sleep(10);

    const signingOut = session.signOut();
    release();
    await assert.rejects(signingIn, { code: "SIGNED_OUT" });
    await signingOut;

    assert.deepEqual([session.status, session.user], ["signedOut", null]);
    assert.equal(await sessionsOf(proxy.url, user.email), 0);
  });

  test("a session that was ended elsewhere says why", async (t) => {
    const { proxy, openSignedIn, answer } = await arrange(t);
    const storage = storageOf();
    const session = await openSignedIn({ storage });
    const seen = [];
    session.subscribe(() => seen.push(session.status));
    await answer(session, me);
    const { authorization } = proxy.requests.at(-1);
    await ask(proxy.url, "mutation { logoutEverywhere { sessionsEnded } }", {}, { authorization });

    const { data } = await answer(session, me);

    assert.deepEqual(data, { me: null });
    assert.deepEqual([session.status, session.user, session.endedBy], ["signedOut", null, {
      __typename: "SessionEnded",
      reason: "LOGGED_OUT",
      message: session.endedBy.message,
    }]);
    assert.deepEqual(seen, ["signedOut"]);
  });

  test("the body of a request may be a stream", async (t) => {
    const { proxy, user, open } = await arrange(t);
    const session = open();
    proxy.changeAnswer("Login", withInvalidToken);
    await session.signIn(inputOf(user));

    const response = await session.fetch(proxy.url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: new Blob([JSON.stringify({ query: me })]).stream(),
      duplex: "half",
    });

    assert.deepEqual(await response.json(), { data: { me: { email: user.email } } });
  });

  test("a closed session calls nobody", async (t) => {
    const { user, openSignedIn } = await arrange(t);
    const session = await openSignedIn();
    const calls = [];
    session.subscribe(() => calls.push(session.status));

    session.close();
    await session.signOut();

    assert.deepEqual([session.status, calls], ["signedOut", []]);
    assert.equal(await sessionsOf(world.portico.url + "/graphql", user.email), 0);
  });
}
