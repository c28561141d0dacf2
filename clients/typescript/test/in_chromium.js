import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { password, register, sessionsOf } from "./accounts.js";
import { openTab, startFrontend } from "./browser.js";
import { enroll } from "./factors.js";
import { startProxy } from "./proxy.js";

const me = "query Me { me { email } }";
const rename = 'mutation Rename { updateProfile(input: { displayName: "Ada" }) { __typename } }';
const withInvalidToken = (text) => text.replace(/"accessToken":\s*"[^"]+"/, '"accessToken":"invalid"');
const FOURTEEN_MINUTES = 14 * 60_000;

export function inChromium(world) {
  let frontend;
  before(async () => {
    frontend = await startFrontend(world.frontend);
  });
  after(() => frontend.close());

  /** A user, and a browser that reaches Portico by a network that can fail. */
  async function arrange(t) {
    const proxy = await startProxy(world.portico.url);
    const user = await register(proxy.url);
    const contexts = [];
    t.after(async () => {
      for (const context of contexts) await context.close();
      proxy.close();
    });
    const newBrowser = async (options) => {
      const context = await frontend.browser.newContext(options);
      context.setDefaultTimeout(10_000);
      contexts.push(context);
      return context;
    };
    const context = await newBrowser();
    const tab = (options, where = context) => openTab(where, world.frontend, proxy.url, options);
    const signedIn = async (options) => {
      const opened = await tab(options);
      await opened.signIn(user.email, password);
      proxy.forget();
      return opened;
    };
    return { proxy, user, context, newBrowser, tab, signedIn };
  }

  const cookieOf = async (context) => (await context.cookies()).find(({ name }) => name === "portico");

  test("a guest is signed out, without a reason", async (t) => {
    const { tab } = await arrange(t);
    const guest = await tab();

    await guest.ready();

    assert.deepEqual(await guest.state(), ["signedOut", null, null]);
    assert.deepEqual(await guest.ask(me), { data: { me: null } });
  });

  test("a page that may not use the cookie is signed out, and asks as a guest", async (t) => {
    const { context, tab, signedIn } = await arrange(t);
    await signedIn();
    const second = { name: "portico", value: "tossed", domain: "localhost", path: "/graphql" };
    await context.addCookies([second]);

    const reloaded = await tab();
    await reloaded.ready();

    assert.deepEqual(await reloaded.state(), ["signedOut", null, null]);
    assert.deepEqual(await reloaded.ask(me), { data: { me: null } });
  });

  test("a reload stays signed in, and no script can read the refresh token", async (t) => {
    const { proxy, user, context, signedIn } = await arrange(t);
    const tab = await signedIn();

    for (let times = 0; times < 3; times += 1) await tab.reload();

    assert.deepEqual(await tab.state(), ["signedIn", user.email, null]);
    assert.deepEqual(await tab.ask(me), { data: { me: { email: user.email } } });
    const readable = await tab.page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length]);
    assert.deepEqual(readable, ["", 0, 0]);
    const { httpOnly, sameSite } = await cookieOf(context);
    assert.deepEqual([httpOnly, sameSite], [true, "Lax"]);
    assert.equal(await sessionsOf(proxy.url, user.email), 1);
  });

  test("two tabs and several requests need one refresh when the token is about to expire", async (t) => {
    const { proxy, user, tab, signedIn } = await arrange(t);
    const first = await signedIn({ withClock: true });
    const second = await tab({ withClock: true });
    await second.ready();
    proxy.forget();
    for (const { page } of [first, second]) await page.clock.fastForward(FOURTEEN_MINUTES);

    const answers = await Promise.all([first.ask(me), first.ask(me), second.ask(me), second.ask(me)]);

    assert.deepEqual(answers, Array(4).fill({ data: { me: { email: user.email } } }));
    assert.equal(proxy.count("RefreshSession"), 1);
    assert.equal(proxy.count("Me"), 4);
    assert.equal(new Set(proxy.requests.filter(({ name }) => name === "Me").map((one) => one.authorization)).size, 1);
  });

  test("a token that is refused is replaced once, and what did not run is sent again", async (t) => {
    const { proxy, user, tab } = await arrange(t);
    const one = await tab();
    await one.ready();
    proxy.changeAnswer("Login", withInvalidToken);
    await one.signIn(user.email, password);
    proxy.forget();

    const answers = await Promise.all([one.ask(rename), one.ask(me)]);

    assert.deepEqual(answers, [
      { data: { updateProfile: { __typename: "UserChanged" } } },
      { data: { me: { email: user.email } } },
    ]);
    assert.equal(proxy.count("RefreshSession"), 1);
    assert.equal(proxy.count("Rename"), 2);
  });

  test("clocks that are wrong, or are set while the page is open, do not matter", async (t) => {
    const { proxy, user, signedIn } = await arrange(t);
    const tab = await signedIn({ withClock: true });
    await tab.page.clock.setSystemTime(new Date("2001-01-01"));
    await tab.ask(me);
    const afterChange = proxy.count("RefreshSession");

    await tab.page.clock.fastForward(FOURTEEN_MINUTES);
    await tab.ask(me);
    await tab.ask(me);

    assert.deepEqual([afterChange, proxy.count("RefreshSession")], [0, 1]);
    assert.deepEqual(await tab.state(), ["signedIn", user.email, null]);
  });

  test("after the computer has slept, the token is replaced before it is used", async (t) => {
    const { proxy, signedIn } = await arrange(t);
    const tab = await signedIn({ withClock: true });
    await tab.page.clock.setSystemTime(new Date(Date.now() + 8 * 3_600_000));

    await tab.ask(me);

    assert.deepEqual(proxy.requests.map(({ name }) => name), ["RefreshSession", "Me"]);
  });

  test("a lost answer to a refresh does not end the session", async (t) => {
    const { proxy, user, signedIn } = await arrange(t);
    const tab = await signedIn();
    proxy.dropAnswer("RefreshSession");

    await tab.reload();

    assert.deepEqual(await tab.state(), ["signedIn", user.email, null]);
    assert.equal(proxy.count("RefreshSession"), 2);
  });

  test("without a network the page waits, and continues when the network is back", async (t) => {
    const { proxy, user, context, signedIn } = await arrange(t);
    const tab = await signedIn();
    proxy.goDown();
    await tab.page.reload();
    await tab.page.waitForFunction(() => window.session);
    const failure = await tab.page.evaluate((query) => graphql(query).catch(({ name }) => name), me);
    const [statusMeanwhile] = await tab.state();

    await context.setOffline(true);
    proxy.comeUp();
    await context.setOffline(false);
    await tab.ready();

    assert.deepEqual([failure, statusMeanwhile], ["TypeError", "loading"]);
    assert.deepEqual(await tab.state(), ["signedIn", user.email, null]);
  });

  test("pages stay signed in over a restart of the server, also one that is opened meanwhile", async (t) => {
    const { user, tab, signedIn } = await arrange(t);
    const [opened, reloaded] = [await signedIn(), await tab()];
    await reloaded.ready();
    await world.portico.stop();
    const failure = await opened.page.evaluate((query) => graphql(query).catch(({ name }) => name), me);
    await reloaded.page.reload();
    await reloaded.page.waitForFunction(() => window.session);

    await world.portico.start();
    await reloaded.ready();

    assert.equal(failure, "TypeError");
    for (const one of [opened, reloaded]) {
      assert.deepEqual(await one.ask(me), { data: { me: { email: user.email } } });
      assert.deepEqual(await one.state(), ["signedIn", user.email, null]);
    }
  });

  test("signing in and out is seen by all tabs, which are told once", async (t) => {
    const { user, tab } = await arrange(t);
    const [first, second] = [await tab(), await tab()];
    await Promise.all([first.ready(), second.ready()]);
    await first.signIn(user.email, password);
    await second.becomes("signedIn", user.email);
    const answered = await second.ask(me);

    await second.signOut();
    await first.becomes("signedOut");

    assert.deepEqual(answered, { data: { me: { email: user.email } } });
    assert.deepEqual(await first.changes(), [
      ["signedOut", null],
      ["signedIn", user.email],
      ["signedOut", null],
    ]);
    assert.deepEqual(await first.ask(me), { data: { me: null } });
  });

  test("another user who signs in in one tab is signed in in all", async (t) => {
    const { proxy, tab, signedIn } = await arrange(t);
    const another = await register(proxy.url);
    const first = await signedIn();
    const second = await tab();
    await second.ready();

    await second.signIn(another.email, password);
    await first.becomes("signedIn", another.email);

    assert.deepEqual(await first.ask(me), { data: { me: { email: another.email } } });
    await first.reload();
    assert.deepEqual(await first.state(), ["signedIn", another.email, null]);
  });

  test("the answer to an old refresh does not replace a new session", async (t) => {
    const { proxy, tab, signedIn } = await arrange(t);
    const another = await register(proxy.url);
    const first = await signedIn({ withClock: true });
    const second = await tab();
    await second.ready();
    await first.page.clock.fastForward(FOURTEEN_MINUTES);
    const release = proxy.holdAnswer("RefreshSession");
    proxy.forget();
    const asking = first.ask(me);
    while (!proxy.count("RefreshSession")) await sleep(10);

    const signingIn = second.signIn(another.email, password);
    // Longer than a sign-in takes: it waits for the answer to the refresh.
    await sleep(2_000);
    const loginsMeanwhile = proxy.count("Login");
    release();
    await Promise.all([asking, signingIn]);
    await first.becomes("signedIn", another.email);
    await first.reload();

    assert.equal(loginsMeanwhile, 0);
    assert.deepEqual(await first.state(), ["signedIn", another.email, null]);
    assert.deepEqual(await second.state(), ["signedIn", another.email, null]);
  });

  test("signing out without a network signs out all tabs, and nothing brings the session back", async (t) => {
    const { proxy, user, context, tab, signedIn } = await arrange(t);
    const [first, second] = [await signedIn(), await tab()];
    await second.ready();
    proxy.goDown();

    const failure = await first.page.evaluate(() => session.signOut().catch(({ name }) => name));
    await second.becomes("signedOut");
    await context.setOffline(true);
    proxy.comeUp();
    await context.setOffline(false);

    assert.equal(failure, "TypeError");
    assert.deepEqual(await first.ask(me), { data: { me: null } });
    assert.deepEqual(await second.state(), ["signedOut", null, null]);
    await second.signOut();
    assert.equal(await sessionsOf(proxy.url, user.email), 0);
  });

  test("tokens that arrive after signing out in another tab are discarded, and their session ends", async (t) => {
    const { proxy, user, tab, signedIn } = await arrange(t);
    const [first, second] = [await signedIn(), await tab()];
    await second.ready();
    proxy.forget();
    const release = proxy.holdAnswer("RefreshSession");
    const reloading = first.page.reload();
    while (!proxy.count("RefreshSession")) await sleep(10);
    await reloading;

    const signingOut = second.signOut();
    await first.becomes("signedOut");
    release();
    await signingOut;
    await first.reload();

    assert.deepEqual(await first.state(), ["signedOut", null, null]);
    assert.equal(await sessionsOf(proxy.url, user.email), 0);
  });

  test("a stolen cookie that is used ends the session in all tabs, with the reason", async (t) => {
    const { context, newBrowser, tab, signedIn } = await arrange(t);
    const first = await signedIn();
    const former = await cookieOf(context);
    const second = await tab();
    await second.ready();
    const latest = await cookieOf(context);
    // For one browser the token is replaced once in 30 seconds, for another one at once.
    const thief = await newBrowser({ userAgent: "Another browser" });
    await thief.addCookies([latest]);
    const unnoticed = await tab({}, thief);
    await unnoticed.ready();
    await unnoticed.page.close();
    await thief.addCookies([former]);

    const copy = await tab({}, thief);
    await copy.ready();
    await first.ask(me);
    await second.becomes("signedOut");

    for (const one of [copy, first, second])
      assert.deepEqual(await one.state(), ["signedOut", null, "TOKEN_REUSED"]);
  });

  test("a change of password is for the user who asked for it, not for one who signs in meanwhile", async (t) => {
    const { proxy, tab, signedIn } = await arrange(t);
    const another = await register(proxy.url);
    const first = await signedIn();
    const second = await tab();
    await second.ready();
    const release = proxy.holdAnswer("Login");
    const signingIn = second.signIn(another.email, password);
    while (!proxy.count("Login")) await sleep(10);

    const code = first.page.evaluate(
      (input) => session.changePassword(input).catch(({ code }) => code),
      { currentPassword: password, newPassword: "analytical engine 2" },
    );
    release();
    await signingIn;

    assert.equal(await code, "SIGNED_OUT");
    assert.equal(proxy.count("ChangePassword"), 0);
    assert.deepEqual(await first.state(), ["signedIn", another.email, null]);
  });

  test("after a change of password this browser stays signed in", async (t) => {
    const { proxy, user, signedIn } = await arrange(t);
    const tab = await signedIn();

    const outcome = await tab.page.evaluate((input) => session.changePassword(input), {
      currentPassword: password,
      newPassword: "analytical engine 2",
    });
    proxy.forget();
    const answered = await tab.ask(me);
    const asked = proxy.requests.map(({ name }) => name);
    await tab.reload();

    assert.equal(outcome.__typename, "PasswordChanged");
    assert.deepEqual([answered, asked], [{ data: { me: { email: user.email } } }, ["Me"]]);
    assert.deepEqual(await tab.state(), ["signedIn", user.email, null]);
  });

  test("the answer to a challenge puts the session into the cookie, and signs in all tabs", async (t) => {
    const { proxy, user, context, tab } = await arrange(t);
    const app = await enroll(world.portico, proxy.url, user.email);
    const [first, second] = [await tab(), await tab()];
    await Promise.all([first.ready(), second.ready()]);

    const { challenge } = await first.signIn(user.email, password);
    const cookieBefore = await cookieOf(context);
    const input = { token: challenge.token, answer: { totp: await app.nextCode() } };
    const outcome = await first.page.evaluate((given) => session.answerChallenge(given), input);
    await second.becomes("signedIn", user.email);
    await first.reload();

    assert.deepEqual([cookieBefore, outcome.__typename], [undefined, "SignedIn"]);
    assert.deepEqual(await first.state(), ["signedIn", user.email, null]);
    assert.deepEqual(await first.changes(), [["signedIn", user.email]]);
  });

  test("after a step-up the request is repeated, and a reload stays signed in", async (t) => {
    const { proxy, user, signedIn } = await arrange(t);
    const tab = await signedIn();
    const app = await enroll(world.portico, proxy.url, user.email);
    const code = await app.nextCode();
    await tab.page.evaluate((totp) => {
      window.stepUp = async () => {
        const query = `mutation StepUp { stepUp(input: { answer: { totp: "${totp}" } }) { __typename } }`;
        return (await graphql(query)).data.stepUp.__typename === "SteppedUp";
      };
    }, code);
    proxy.forget();

    const { data } = await tab.ask("mutation Renew { renewRecoveryCodes { codes } }");
    while (!proxy.count("RefreshSession")) await sleep(10);
    const asked = proxy.requests.map(({ name }) => name);
    await tab.reload();

    assert.equal(data.renewRecoveryCodes.codes.length, 10);
    assert.deepEqual(asked, ["Renew", "StepUp", "Renew", "RefreshSession"]);
    assert.deepEqual(await tab.state(), ["signedIn", user.email, null]);
  });
}
