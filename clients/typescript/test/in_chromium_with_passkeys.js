// Chromium, with a virtual authenticator (Web Authentication, section 11) for each tab.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ask, password, register } from "./accounts.js";
import { openTab, startFrontend } from "./browser.js";
import { verifyAddress } from "./factors.js";
import { startProxy } from "./proxy.js";

const factorsQuery = "query Factors { me { factors { __typename ... on Passkey { id name } } } }";
const AUTHENTICATOR = {
  protocol: "ctap2",
  transport: "internal",
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
};
const THREE_MINUTES = 3 * 60_000;

export function inChromiumWithPasskeys(world) {
  let frontend;
  before(async () => {
    frontend = await startFrontend(world.frontend);
  });
  after(() => frontend.close());

  /** A browser with an authenticator, that reaches Portico by a network that can fail. */
  async function open(t, proxy, options) {
    const context = await frontend.browser.newContext();
    t.after(() => context.close());
    context.setDefaultTimeout(10_000);
    const tab = await openTab(context, world.frontend, proxy.url, options);
    const device = await context.newCDPSession(tab.page);
    await device.send("WebAuthn.enable");
    const { authenticatorId } = await device.send("WebAuthn.addVirtualAuthenticator", { options: AUTHENTICATOR });
    const send = (method, parameters) => device.send(`WebAuthn.${method}`, { authenticatorId, ...parameters });
    const page = (...given) => tab.page.evaluate(...given);
    return {
      tab,
      /** Whether the person verifies themselves; otherwise they refuse. */
      verifies: (isUserVerified) => send("setUserVerified", { isUserVerified }),
      /** Whether the person touches it in requests that begin from now on; otherwise these stay open. */
      touches: (enabled) => send("setAutomaticPresenceSimulation", { enabled }),
      credentials: async () => (await send("getCredentials")).credentials,
      addCredential: (credential) => send("addCredential", { credential }),
      registerPasskey: (name) => page((given) => passkeys.registerPasskey(session, { name: given }), name),
      signInWithPasskey: (given) => page((one) => passkeys.signInWithPasskey(session, one), given),
      /** Begins, without waiting for the outcome; the page keeps it. */
      begin: (given) =>
        page((one) => {
          window.controller = new AbortController();
          window.outcome = "none yet";
          const { signal } = window.controller;
          const { get } = CredentialsContainer.prototype;
          window.requests = 0;
          navigator.credentials.get = function (request) {
            window.requests += 1;
            return get.call(this, request);
          };
          passkeys.signInWithPasskey(session, { ...one, signal }).then(
            (outcome) => (window.outcome = outcome),
            (error) => (window.outcome = error.name),
          );
        }, given),
      /** Waits until the browser was asked so often. */
      waits: (times) => tab.page.waitForFunction((wanted) => requests === wanted, times),
      abort: () => page(() => controller.abort()),
      outcome: async () => {
        await tab.page.waitForFunction(() => outcome !== "none yet");
        return page(() => outcome);
      },
    };
  }

  /** A user with a verified address, and a browser. */
  async function arrange(t, options) {
    const proxy = await startProxy(world.portico.url);
    t.after(() => proxy.close());
    const user = await register(proxy.url);
    const otherDevice = await verifyAddress(world.portico, proxy.url, user.email);
    return {
      ...(await open(t, proxy, options)),
      proxy,
      user,
      otherDevice,
      names: () => proxy.requests.map(({ name }) => name),
      /** Waits until Portico was asked so often. */
      asked: async (name, times) => {
        while (proxy.count(name) < times) await sleep(10);
      },
    };
  }

  /** The same, with a passkey; nobody is signed in. */
  async function arrangePasskey(t, options) {
    const scene = await arrange(t, options);
    await scene.tab.signIn(scene.user.email, password);
    const registered = await scene.registerPasskey("Phone");
    assert.equal(registered.__typename, "FactorAdded");
    await scene.asked("AcceptedPasskeys", 1);
    await scene.tab.signOut();
    scene.proxy.forget();
    return { ...scene, passkey: registered.factor };
  }

  test("passkeys are supported on localhost, and not at an address", async (t) => {
    const { proxy, tab } = await arrange(t);
    const supported = () => tab.page.evaluate(() => passkeys.passkeysSupported());
    const here = await supported();
    await tab.page.goto(`http://127.0.0.1:${world.frontend.port}/?url=${encodeURIComponent(proxy.url)}`);
    await tab.page.waitForFunction(() => window.passkeys);

    assert.deepEqual([here, await supported()], [true, false]);
  });

  test("a passkey is registered, and the browser is told which ones are accepted", async (t) => {
    const { tab, user, registerPasskey, credentials, names, asked, proxy } = await arrange(t);
    await tab.signIn(user.email, password);
    proxy.forget();

    const { factor, recoveryCodes, ...rest } = await registerPasskey("Phone");
    await asked("AcceptedPasskeys", 1);

    const [stored] = await credentials();
    const { id, createdAt, lastUsedAt, ...passkey } = factor;
    assert.match(id, /^Passkey_/);
    assert.ok(Date.parse(createdAt) && Date.parse(lastUsedAt));
    assert.deepEqual(passkey, { name: "Phone", isBackedUp: false });
    assert.deepEqual([recoveryCodes.length, rest], [10, { __typename: "FactorAdded" }]);
    assert.deepEqual([stored.rpId, stored.isResidentCredential], ["localhost", true]);
    assert.deepEqual(names(), ["BeginPasskeyRegistration", "FinishPasskeyRegistration", "AcceptedPasskeys"]);
  });

  test("an authenticator that has a passkey of the account says so, and registers none", async (t) => {
    const { tab, user, registerPasskey, credentials } = await arrangePasskey(t);
    await tab.signIn(user.email, password); // a challenge
    await tab.page.evaluate(() => passkeys.signInWithPasskey(session));

    const outcome = await registerPasskey("Again");

    assert.deepEqual(outcome, {
      __typename: "AlreadyRegistered",
      message: "This device has a passkey for this account already.",
    });
    assert.equal((await credentials()).length, 1);
    const { data } = await tab.ask(factorsQuery);
    assert.deepEqual(data.me.factors.map(({ name }) => name), ["Phone"]);
  });

  test("a cancelled registration is null, and changes nothing", async (t) => {
    const { tab, user, registerPasskey, verifies, credentials } = await arrange(t);
    await tab.signIn(user.email, password);
    await verifies(false);

    assert.equal(await registerPasskey("Phone"), null);

    const { data } = await tab.ask(factorsQuery);
    assert.deepEqual([data.me.factors, await credentials()], [[], []]);
  });

  test("a refusal of Portico rejects with its code, before the browser is asked", async (t) => {
    const { proxy, tab, credentials } = await arrange(t);
    const unverified = await register(proxy.url);
    await tab.signIn(unverified.email, password);

    const code = await tab.page.evaluate(() => passkeys.registerPasskey(session).catch((error) => error.code));

    assert.deepEqual([code, await credentials()], ["EMAIL_NOT_VERIFIED", []]);
    assert.ok(!proxy.count("FinishPasskeyRegistration"));
  });

  test("a passkey signs in without an address, and stays so over a reload", async (t) => {
    const { tab, user, signInWithPasskey, names, asked } = await arrangePasskey(t);

    const outcome = await signInWithPasskey();
    await asked("AcceptedPasskeys", 1);
    const sent = names();
    await tab.reload();

    assert.deepEqual(outcome, { __typename: "SignedIn", user: { ...user, emailVerified: true } });
    assert.deepEqual(sent, ["BeginPasskeySignIn", "SignInWithPasskey", "AcceptedPasskeys"]);
    assert.deepEqual(await tab.state(), ["signedIn", user.email, null]);
  });

  test("a cancelled sign-in is null, and one that is aborted too", async (t) => {
    const { tab, signInWithPasskey, verifies, touches, begin, waits, abort, outcome, names } = await arrangePasskey(t);
    await verifies(false);
    const cancelled = await signInWithPasskey();
    await verifies(true);
    await touches(false);
    await begin();
    await waits(1);
    await abort();

    assert.deepEqual([cancelled, await outcome()], [null, null]);
    assert.deepEqual(names(), ["BeginPasskeySignIn", "BeginPasskeySignIn"]);
    assert.deepEqual(await tab.state(), ["signedOut", null, null]);
  });

  test("a removed passkey is refused", async (t) => {
    const { proxy, tab, passkey, signInWithPasskey, otherDevice } = await arrangePasskey(t);
    await tab.page.evaluate(() => passkeys.signInWithPasskey(session));
    const removed = await tab.ask(`mutation { removeFactor(input: { factorId: "${passkey.id}" }) { __typename } }`);
    await tab.signOut();

    assert.deepEqual(removed.data, { removeFactor: { __typename: "UserChanged" } });
    assert.deepEqual(await signInWithPasskey(), {
      __typename: "PasskeyRefused",
      message: "This passkey was not accepted. Try again, or choose another way.",
    });
    const { data } = await ask(proxy.url, "{ me { factors { id } } }", {}, otherDevice);
    assert.deepEqual([data, (await tab.state())[0]], [{ me: { factors: [] } }, "signedOut"]);
  });

  test("after a removal the browser no longer has the passkey", async (t) => {
    const { tab, passkey, credentials } = await arrangePasskey(t);
    await tab.page.evaluate(() => passkeys.signInWithPasskey(session));
    await tab.ask(`mutation { removeFactor(input: { factorId: "${passkey.id}" }) { __typename } }`);

    await tab.page.evaluate(() => passkeys.signalAcceptedPasskeys(session));

    assert.deepEqual(await credentials(), []);
  });

  test("autofill signs in when the person chooses a passkey", async (t) => {
    const { tab, user, begin, outcome } = await arrangePasskey(t);

    await begin({ autofill: true });

    assert.equal((await outcome()).__typename, "SignedIn");
    assert.deepEqual(await tab.state(), ["signedIn", user.email, null]);
  });

  test("autofill begins again before its ceremony expires, and continues if it cannot", async (t) => {
    const { proxy, tab, touches, begin, waits, outcome, names } = await arrangePasskey(t, { withClock: true });
    await touches(false);
    await begin({ autofill: true });
    await waits(1);
    await tab.page.clock.fastForward(THREE_MINUTES);
    await waits(2);
    await touches(true);
    proxy.changeAnswer("BeginPasskeySignIn", () => "{}", 503);
    await tab.page.clock.fastForward(THREE_MINUTES);

    assert.equal((await outcome()).__typename, "SignedIn");
    assert.deepEqual(names().slice(0, 4), [...Array(3).fill("BeginPasskeySignIn"), "SignInWithPasskey"]);
  });

  test("autofill that cannot begin rejects", async (t) => {
    const { proxy, tab, begin, outcome } = await arrangePasskey(t);
    proxy.changeAnswer("BeginPasskeySignIn", () => "{}", 503);

    await begin({ autofill: true });

    assert.equal(await outcome(), "Error");
    assert.deepEqual(await tab.state(), ["signedOut", null, null]);
  });

  test("autofill steps aside for the button, and resumes if that is cancelled", async (t) => {
    const { tab, touches, begin, waits, outcome, names } = await arrangePasskey(t);
    await touches(false);
    await begin({ autofill: true });
    await waits(1);
    await tab.page.evaluate(() => {
      window.button = new AbortController();
      window.cancelled = passkeys.signInWithPasskey(session, { signal: button.signal });
    });
    await waits(2);
    const begun = names();
    await touches(true);
    const cancelled = await tab.page.evaluate(() => (button.abort(), window.cancelled));

    assert.deepEqual([cancelled, (await outcome()).__typename], [null, "SignedIn"]);
    assert.deepEqual(begun.slice(0, 2), ["BeginPasskeySignIn", "BeginPasskeySignIn"]);
    assert.equal((await tab.state())[0], "signedIn");
  });

  test("autofill that is late does not take the place of the button", async (t) => {
    const { proxy, tab, touches, begin, waits, outcome, asked } = await arrangePasskey(t);
    const release = proxy.holdAnswer("BeginPasskeySignIn");
    await touches(false);
    await begin({ autofill: true });
    await asked("BeginPasskeySignIn", 1);
    await tab.page.evaluate(() => {
      window.button = new AbortController();
      window.result = "pending";
      const pressed = passkeys.signInWithPasskey(session, { signal: button.signal });
      pressed.then((value) => (window.result = value));
    });
    await waits(1);
    release();
    await sleep(300);
    const meanwhile = await tab.page.evaluate(() => [result, requests]);
    await touches(true);
    await tab.page.evaluate(() => button.abort());

    assert.deepEqual(meanwhile, ["pending", 1]);
    assert.equal((await outcome()).__typename, "SignedIn");
  });

  test("autofill ends when somebody signs in, or the form is gone, or another begins", async (t) => {
    const { proxy, tab, touches, begin, waits, abort, outcome } = await arrangePasskey(t);
    const other = await register(proxy.url);
    const another = () => tab.page.evaluate(() => void passkeys.signInWithPasskey(session, { autofill: true }));
    const signIn = () => tab.signIn(other.email, password);
    await touches(false);
    const outcomes = [];
    for (const end of [abort, another, signIn]) {
      await begin({ autofill: true });
      await waits(1);
      await end();
      outcomes.push(await outcome());
    }
    outcomes.push(await tab.page.evaluate(() => passkeys.signInWithPasskey(session, { autofill: true })));

    assert.deepEqual(outcomes, [null, null, null, null]);
    assert.deepEqual(await tab.state(), ["signedIn", other.email, null]);
  });

  test("a passkey answers the challenge after a password", async (t) => {
    const { tab, user, names, verifies } = await arrangePasskey(t);
    const { challenge } = await tab.signIn(user.email, password);
    const answer = (token) => tab.page.evaluate((given) => passkeys.answerChallengeWithPasskey(session, given), token);
    await verifies(false);
    const cancelled = await answer(challenge.token);
    await verifies(true);

    const outcome = await answer(challenge.token);
    const unknown = await answer(`${challenge.token}x`);

    assert.deepEqual(challenge.methods, ["PASSKEY", "RECOVERY_CODE"]);
    assert.deepEqual([cancelled, outcome.__typename, unknown.__typename], [null, "SignedIn", "ChallengeExpired"]);
    assert.deepEqual(names(), [
      "Login",
      ...["BeginPasskeyChallenge", "BeginPasskeyChallenge", "AnswerChallenge", "BeginPasskeyChallenge"],
    ]);
    assert.deepEqual(await tab.state(), ["signedIn", user.email, null]);
  });

  test("what is refused to a stale session is done after a step-up with a passkey", async (t) => {
    const { proxy, user, tab, verifies, addCredential, registerPasskey, names, asked } = await arrange(t);
    await tab.signIn(user.email, password);
    const phone = await open(t, proxy);
    await phone.tab.signIn(user.email, password);
    await phone.registerPasskey("Phone"); // after which other sessions are stale
    const [synced] = await phone.credentials();
    await addCredential(synced);
    await tab.page.evaluate(() => {
      window.stepUp = async ({ methods }) => {
        window.offered = methods;
        return (await passkeys.stepUpWithPasskey(session))?.__typename === "SteppedUp";
      };
    });
    await verifies(false);
    const cancelled = await tab.page.evaluate(() => passkeys.registerPasskey(session).catch(({ code }) => code));
    const offered = await tab.page.evaluate(() => window.offered);
    await verifies(true);
    proxy.forget();

    const outcome = await registerPasskey("Laptop");
    await asked("RefreshSession", 1);

    assert.deepEqual([cancelled, offered], ["STEP_UP_REQUIRED", ["PASSKEY"]]);
    assert.equal(outcome.__typename, "AlreadyRegistered"); // since the passkey is synced
    const begin = "BeginPasskeyRegistration";
    const operations = names().filter((name) => name !== "RefreshSession");
    assert.deepEqual(operations, [begin, "BeginPasskeyStepUp", "StepUp", begin]);
  });
}
