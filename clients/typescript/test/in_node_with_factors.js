import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createSession } from "@portico/client";
import { password, register } from "./accounts.js";
import { enroll } from "./factors.js";
import { startProxy } from "./proxy.js";

const me = "query Me { me { email } }";
const renew = "mutation Renew { renewRecoveryCodes { codes } }";
const withInvalidToken = (text) => text.replace(/"accessToken":\s*"[^"]+"/, '"accessToken":"invalid"');
const codesOf = ({ errors }) => errors.map(({ extensions }) => extensions.code);
const REFUSED = ["STEP_UP_REQUIRED"];

const proof = (answer) => `mutation StepUp { stepUp(input: { answer: ${answer} }) { __typename } }`;

export function inNodeWithFactors(world) {
  async function arrange(t) {
    const proxy = await startProxy(world.portico.url);
    const user = await register(proxy.url);
    const credentials = { email: user.email, password };
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
    const answer = async (session, query, init) => {
      const response = await session.fetch(proxy.url, {
        ...init,
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ query }),
      });
      return response.json();
    };
    const enrolled = () => enroll(world.portico, proxy.url, user.email);
    const names = () => proxy.requests.map(({ name }) => name);
    return { proxy, user, credentials, open, answer, enrolled, names };
  }

  /** A session whose proof no longer suffices, since a factor was enrolled elsewhere; its callback is `prove`. */
  async function arrangeStale(t, prove, { change, ...options } = {}) {
    const { proxy, ...rest } = await arrange(t);
    const asked = [];
    const session = rest.open({
      ...options,
      stepUp: (required) => {
        asked.push(required);
        return prove(scene);
      },
    });
    if (change) proxy.changeAnswer("Login", change);
    await session.signIn(rest.credentials);
    const app = await rest.enrolled();
    proxy.forget();
    const scene = { proxy, ...rest, app, asked, session, ask: (query, init) => rest.answer(session, query, init) };
    return scene;
  }

  async function proveByCode({ ask, app }) {
    const { data } = await ask(proof(`{ totp: "${await app.nextCode()}" }`));
    return data.stepUp.__typename === "SteppedUp";
  }

  const assertRenewed = ({ data, errors }) =>
    assert.deepEqual([data.renewRecoveryCodes?.codes.length, errors], [10, undefined]);

  test("signing in with a second factor returns a challenge, whose answer signs in", async (t) => {
    const { user, credentials, open, answer, enrolled } = await arrange(t);
    const app = await enrolled();
    const session = open();

    const { __typename, challenge } = await session.signIn(credentials);
    const statusMeanwhile = session.status;
    const wrong = await session.answerChallenge({ token: challenge.token, answer: { totp: "12345" } });
    const right = await session.answerChallenge({
      token: challenge.token,
      answer: { totp: await app.nextCode() },
    });

    assert.deepEqual([__typename, challenge.methods, statusMeanwhile], [
      "ChallengeRequired",
      ["TOTP", "RECOVERY_CODE"],
      "signedOut",
    ]);
    assert.ok(Date.parse(challenge.expiresAt) > Date.now());
    assert.deepEqual(wrong, {
      __typename: "InvalidCode",
      message: "This code is wrong or was used before. Wait for the next one, or use a recovery code.",
    });
    const verified = { ...user, emailVerified: true };
    assert.deepEqual(right, { __typename: "SignedIn", user: verified });
    assert.deepEqual([session.status, session.user], ["signedIn", verified]);
    assert.deepEqual(await answer(session, me), { data: { me: { email: user.email } } });
  });

  test("a recovery code answers a challenge once, and the session continues in the next process", async (t) => {
    const { user, credentials, open, enrolled } = await arrange(t);
    const { recoveryCodes } = await enrolled();
    const items = new Map();
    const storage = {
      getItem: (key) => items.get(key) ?? null,
      setItem: (key, value) => items.set(key, value),
    };
    const session = open({ storage });
    const { challenge } = await session.signIn(credentials);
    const input = { token: challenge.token, answer: { recoveryCode: recoveryCodes[0] } };

    const outcome = await session.answerChallenge(input);
    session.close();
    const next = open({ storage });
    await next.ready;
    const again = await open().answerChallenge({ ...input, answer: { recoveryCode: recoveryCodes[1] } });

    assert.equal(outcome.__typename, "SignedIn");
    assert.deepEqual([next.status, next.user.email], ["signedIn", user.email]);
    assert.equal(again.__typename, "ChallengeExpired");
  });

  test("a challenge that answers an emailed link passes through, too", async (t) => {
    const { proxy, user, credentials, open, enrolled } = await arrange(t);
    const app = await enrolled();
    const session = open();
    // The links that are left of such a user are few and late: the challenge is that of a sign-in.
    let challenged;
    proxy.changeAnswer("Login", (text) => (challenged = text));
    await session.signIn(credentials);
    proxy.changeAnswer("VerifyEmail", () => challenged);

    const { __typename, challenge } = await session.verifyEmail({ token: "pot_used" });
    const outcome = await session.answerChallenge({
      token: challenge.token,
      answer: { totp: await app.nextCode() },
    });

    assert.deepEqual([__typename, outcome.__typename], ["ChallengeRequired", "SignedIn"]);
    assert.equal(session.user.email, user.email);
  });

  test("a request that is refused for an old proof is sent again after the callback, with its methods", async (t) => {
    const { ask, asked, names } = await arrangeStale(t, proveByCode);

    const answer = await ask(renew);

    assertRenewed(answer);
    assert.deepEqual(asked, [{ methods: ["TOTP"], maxAge: 600 }]);
    assert.deepEqual(names().slice(0, 3), ["Renew", "StepUp", "Renew"]);
  });

  test("without a second factor the password is asked for", async (t) => {
    const { app, ask, asked } = await arrangeStale(t, async (scene) => {
      const { data } = await scene.ask(proof(`{ password: "${password}" }`));
      return data.stepUp.__typename === "SteppedUp";
    });
    await app.remove();

    const { data } = await ask("mutation Begin { beginTotpEnrollment { __typename } }");

    assert.deepEqual(data, { beginTotpEnrollment: { __typename: "TotpEnrollment" } });
    assert.deepEqual(asked, [{ methods: ["PASSWORD"], maxAge: 600 }]);
  });

  test("requests that are refused together share one callback, also if an answer is late", async (t) => {
    const { proxy, ask, asked } = await arrangeStale(t, async (scene) => {
      while (scene.proxy.count("Renew") < 3) await sleep(10);
      return proveByCode(scene);
    });
    const release = proxy.holdAnswer("Late");
    const late = ask(renew.replace("Renew", "Late"));
    while (!proxy.count("Late")) await sleep(10);

    const answers = await Promise.all([ask(renew), ask(renew), ask(renew)]);
    release();
    answers.push(await late);

    answers.forEach(assertRenewed);
    assert.equal(asked.length, 1);
    assert.deepEqual([proxy.count("Renew"), proxy.count("Late")], [6, 2]);
  });

  test("what the callback sends does not wait for the callback", async (t) => {
    const own = [];
    const { ask, asked, names } = await arrangeStale(t, async (scene) => {
      own.push(await scene.ask(renew.replace("Renew", "Own")));
      return proveByCode(scene);
    });

    const answer = await ask(renew);

    assertRenewed(answer);
    assert.deepEqual(own.map(codesOf), [REFUSED]);
    assert.equal(asked.length, 1);
    assert.deepEqual(names().slice(0, 4), ["Renew", "Own", "StepUp", "Renew"]);
  });

  for (const [isProved, what] of [
    [true, "is sent again"],
    [false, "keeps its answer"],
  ])
    test(`a request of the callback whose refusal comes after its end ${what} if it returned ${isProved}`, async (t) => {
      const late = [];
      let release;
      const { ask, asked, proxy } = await arrangeStale(t, async (scene) => {
        release = scene.proxy.holdAnswer("Late");
        late.push(scene.ask(renew.replace("Renew", "Late")));
        while (!scene.proxy.count("Late")) await sleep(10);
        return isProved && proveByCode(scene);
      });

      const answer = await ask(renew);
      release();
      const lateAnswer = await late[0];

      for (const each of [answer, lateAnswer])
        if (isProved) assertRenewed(each);
        else assert.deepEqual(codesOf(each), REFUSED);
      assert.deepEqual([asked.length, proxy.count("Late")], [1, isProved ? 2 : 1]);
    });

  for (const [what, leave] of Object.entries({
    "signs out": (session) => session.signOut(),
    "is followed by another": (session, next) => session.signIn(next),
  }))
    test(`a callback that never settles ends when the user ${what}, and the next user is asked`, async (t) => {
      let nextApp;
      const { ask, asked, session, proxy } = await arrangeStale(t, (scene) =>
        nextApp ? proveByCode({ ...scene, app: nextApp }) : new Promise(() => {}),
      );
      const refused = ask(renew);
      while (!asked.length) await sleep(10);
      const { email } = await register(proxy.url);

      await leave(session, { email, password });
      const refusal = await refused;
      await session.signIn({ email, password });
      nextApp = await enroll(world.portico, proxy.url, email);
      const next = await ask(renew);

      assert.deepEqual(codesOf(refusal), REFUSED);
      assertRenewed(next);
      assert.equal(asked.length, 2);
    });

  test("nobody is asked for a request that the app has aborted", async (t) => {
    const controller = new AbortController();
    const { ask, asked, proxy } = await arrangeStale(t, proveByCode, {
      async fetch(request) {
        const response = await fetch(request);
        const text = await response.text();
        if (text.includes("STEP_UP_REQUIRED")) controller.abort();
        return new Response(text, response);
      },
    });

    const answer = await ask(renew, { signal: controller.signal });

    assert.deepEqual(codesOf(answer), REFUSED);
    assert.deepEqual([asked.length, proxy.count("Renew")], [0, 1]);
  });

  for (const [what, prove] of Object.entries({
    "returns false": () => false,
    "fails at once": () => {
      throw new Error("No dialog.");
    },
    "fails later": () => Promise.reject(new Error("No dialog.")),
  }))
    test(`the original answer is returned if the callback ${what}, and the next request asks again`, async (t) => {
      const { error } = console;
      t.after(() => (console.error = error));
      const reported = [];
      console.error = (each) => reported.push(each.message);
      const { ask, asked, names } = await arrangeStale(t, prove);

      const answers = [await ask(renew), await ask(renew)];

      assert.deepEqual(answers.map(({ data }) => data), [{ renewRecoveryCodes: null }, { renewRecoveryCodes: null }]);
      assert.deepEqual(answers.map(codesOf), [REFUSED, REFUSED]);
      assert.equal(asked.length, 2);
      assert.deepEqual(names(), ["Renew", "Renew"]);
      assert.deepEqual(reported, what === "returns false" ? [] : ["No dialog.", "No dialog."]);
    });

  test("a request that is refused again is returned as it is", async (t) => {
    const { ask, asked, proxy } = await arrangeStale(t, () => true);

    const answer = await ask(renew);

    assert.deepEqual(codesOf(answer), REFUSED);
    assert.deepEqual([asked.length, proxy.count("Renew")], [1, 2]);
  });

  test("without a callback the answer is returned", async (t) => {
    const { proxy, credentials, open, answer, enrolled, names } = await arrange(t);
    const session = open();
    await session.signIn(credentials);
    await enrolled();
    proxy.forget();

    const refused = await answer(session, renew);

    assert.deepEqual(codesOf(refused), REFUSED);
    assert.deepEqual(names(), ["Renew"]);
  });

  test("a mutation of which a part was done is not sent again, but the next one passes", async (t) => {
    const { ask, asked, proxy } = await arrangeStale(t, proveByCode);

    const { data, errors } = await ask(`mutation Two {
      updateProfile(input: { displayName: "Ada" }) { __typename }
      renewRecoveryCodes { codes }
    }`);
    const next = await ask(renew);

    assert.deepEqual(data, { updateProfile: { __typename: "UserChanged" }, renewRecoveryCodes: null });
    assert.deepEqual(codesOf({ errors }), REFUSED);
    assert.equal(proxy.count("Two"), 1);
    assertRenewed(next);
    assert.equal(asked.length, 1);
  });

  test("a mutation of which all parts were refused is sent again", async (t) => {
    const { ask, proxy } = await arrangeStale(t, proveByCode);

    const { data } = await ask(`mutation Two {
      first: renewRecoveryCodes { codes }
      second: renewRecoveryCodes { codes }
    }`);

    assert.deepEqual([data.first.codes.length, data.second.codes.length], [10, 10]);
    assert.equal(proxy.count("Two"), 2);
  });

  test("afterwards the access token is replaced by one that tells of the proof, once, and nothing waits for that", async (t) => {
    const { ask, proxy, credentials, session } = await arrangeStale(t, proveByCode);
    const authTimes = () =>
      proxy.requests
        .filter(({ name }) => name === "Me")
        .map(({ authorization }) => JSON.parse(Buffer.from(authorization.split(".")[1], "base64url")).auth_time);
    await sleep(1_100); // `auth_time` is in seconds
    await ask(me);
    const release = proxy.holdAnswer("RefreshSession");

    const answers = await Promise.all([ask(renew), ask(renew)]);
    const refreshesMeanwhile = proxy.count("RefreshSession");
    release();
    const [before] = authTimes();
    while (authTimes().at(-1) === before) await ask(me);

    answers.forEach(assertRenewed);
    assert.ok(refreshesMeanwhile <= 1);
    assert.equal(proxy.count("RefreshSession"), 1);
    assert.ok(authTimes().at(-1) > before);
    assert.equal(session.user.email, credentials.email);
  });

  test("a request whose token was refused as well is sent with a new token, and then again", async (t) => {
    const { ask, asked, names } = await arrangeStale(t, proveByCode, { change: withInvalidToken });

    const answer = await ask(renew);

    assertRenewed(answer);
    assert.equal(asked.length, 1);
    assert.deepEqual(names().slice(0, 5), ["Renew", "RefreshSession", "Renew", "StepUp", "Renew"]);
  });

  test("what one user asked for is not sent again for another who signs in meanwhile", async (t) => {
    const { ask, asked, proxy, session } = await arrangeStale(t, async (scene) => {
      const another = await register(scene.proxy.url);
      await scene.session.signIn({ email: another.email, password });
      return true;
    });

    const answer = await ask(renew);

    assert.deepEqual(codesOf(answer), REFUSED);
    assert.deepEqual([asked.length, proxy.count("Renew")], [1, 1]);
    assert.equal(session.status, "signedIn");
  });

  test("a change of password is sent again after the callback, which may need a new token meanwhile", async (t) => {
    const { ask, asked, session, user, proxy } = await arrangeStale(t, async (scene) => {
      scene.proxy.changeAnswer("StepUp", () => '{"data":{"stepUp":null},"errors":[{"message":"","path":["stepUp"],"extensions":{"code":"UNAUTHENTICATED"}}]}');
      await scene.ask(proof('{ totp: "12345" }'));
      return proveByCode(scene);
    });

    const outcome = await session.changePassword({
      currentPassword: password,
      newPassword: "analytical engine 2",
    });

    assert.deepEqual(outcome, { __typename: "PasswordChanged", user: { ...user, emailVerified: true } });
    assert.deepEqual([asked.length, proxy.count("ChangePassword")], [1, 2]);
    assert.deepEqual(await ask(me), { data: { me: { email: user.email } } });
  });

  test("a change of password is refused if the callback returns false", async (t) => {
    const { asked, session, proxy } = await arrangeStale(t, () => false);
    const input = { currentPassword: password, newPassword: "analytical engine 2" };

    await assert.rejects(session.changePassword(input), { code: "STEP_UP_REQUIRED", methods: ["TOTP"] });

    assert.deepEqual([asked.length, proxy.count("ChangePassword")], [1, 1]);
    assert.equal(session.status, "signedIn");
  });
}
