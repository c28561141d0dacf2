// The session cookie in Chromium, over https: an app that uses it, and the attacks of a sibling
// host, of another site, and of a host that matches only a pattern in CORS_ORIGINS.
import assert from "node:assert/strict";
import { EXPECTED, attackFrom, until } from "./attacks.mjs";
import { startSites } from "./https_sites.mjs";

const NAME = "__Host-portico";
const ADA = { email: "admin@example.com", password: "correct horse battery staple" };
const MALLORY = { email: "mallory@example.com", password: "a horse of another colour" };
const [APP, SIBLING, STRANGER, PREVIEW] = [
  "app.portico.test",
  "evil.portico.test",
  "evil.test",
  "anybody.preview.portico.test",
];
const SIGNED_IN = `__typename
  ... on SignedIn { user { email } session { id } tokens { accessToken refreshToken deviceToken } }`;
const LOGIN = `mutation($input: LoginInput!) { result: login(input: $input) { ${SIGNED_IN} } }`;
const REGISTER = "mutation($input: RegisterInput!) { register(input: $input) { __typename } }";
const REFRESH = `mutation { result: refreshSession(input: {}) {
  ${SIGNED_IN} ... on SessionEnded { reason }
} }`;
const LOGOUT = "mutation { result: logout { sessionsEnded } }";

const sites = await startSites({ admin: ADA, corsOrigins: [APP, "*.preview.portico.test"] });
const { browser, endpoint, originOf, seen, send } = sites;
await send({ query: REGISTER, variables: { input: MALLORY } });

/** Opens the app, signed in as Ada, in a browser of its own. */
async function signedInApp() {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.setDefaultTimeout(10_000);
  const app = await open(context, APP);
  const { result } = await call(app, LOGIN, { input: { ...ADA, delivery: "COOKIE" } });
  assert.equal(result.__typename, "SignedIn");
  return { context, app, session: result.session.id, tokens: result.tokens };
}

async function open(context, host, path = "/") {
  const page = await context.newPage();
  await page.goto(originOf(host) + path);
  return page;
}

/** Sends an operation as a script of the page does, with the cookie. */
function call(page, query, variables = {}) {
  return page.evaluate(
    async ([url, body]) => {
      const response = await fetch(url, {
        method: "POST",
        credentials: "include",
        headers: { "content-type": "application/json" },
        body,
      });
      const { data, errors } = await response.json();
      return { status: response.status, ...data, errors };
    },
    [endpoint, JSON.stringify({ query, variables })],
  );
}

/** Whether the browser still has the session, and of whom it is. */
async function whoIsSignedIn(app) {
  const { result } = await call(app, REFRESH);
  return result.__typename === "SignedIn"
    ? { email: result.user.email, session: result.session.id }
    : { reason: result.reason };
}

async function cookieOf(context) {
  const cookies = await context.cookies(endpoint);
  return cookies.find(({ name }) => name === NAME);
}

/** Returns a cookie of Mallory's session, as her own browser has it. */
async function cookieOfMallory() {
  const input = { ...MALLORY, delivery: "COOKIE" };
  const headers = { origin: originOf("id.portico.test") };
  const response = await send({ query: LOGIN, variables: { input } }, headers);
  return response.headers.getSetCookie()[0].split(";")[0].slice(NAME.length + 1);
}

const FORGED = {
  logout: { query: LOGOUT, variables: {} },
  login: { query: LOGIN, variables: { input: { ...MALLORY, delivery: "COOKIE" } } },
};

/** A check: no attack of this host succeeds, and the session goes on. */
const cannotForge = (host) => async () => {
  // The answers to the app's own preflights are in the cache of the browser meanwhile.
  const { context, app, session } = await signedInApp();
  for (const operation of Object.values(FORGED)) {
    const page = await open(context, host);
    const { reached, cookies } = await attackFrom(page, endpoint, operation, seen);
    assert.deepEqual(reached, EXPECTED);
    // Browsers send it from hosts of the same site: there Portico alone prevents the attacks.
    assert.equal(cookies.some((sent) => sent.includes(NAME)), host === SIBLING);
    await page.close();
    assert.deepEqual(await whoIsSignedIn(app), { email: ADA.email, session });
  }
  await context.close();
};

/** The cookies that a sibling host tries to put beside or in place of that of Portico. */
function tossed(value) {
  const names = [
    NAME,
    NAME.toLowerCase(),
    NAME.toUpperCase(),
    `=${NAME}`,
    ` ${NAME} `,
    `\u2000${NAME}`,
    `\u00a0${NAME}`,
    `\u0085${NAME}`,
    `$Version=1; ${NAME}`,
    "portico",
    "__Secure-portico",
  ];
  const scopes = [
    "Domain=portico.test; Path=/; Secure",
    "Domain=portico.test; Path=/graphql; Secure",
    "Domain=id.portico.test; Path=/; Secure",
    "Path=/; Secure",
  ];
  return names.flatMap((name) =>
    scopes.flatMap((scope) => [`${name}=${value}; ${scope}`, `${name}="${value}"; ${scope}`]),
  );
}

/** Lets the sibling set these cookies, by its answers and by its scripts. */
async function toss(context, cookies) {
  const page = await open(context, SIBLING);
  for (let start = 0; start < cookies.length; start += 20) {
    const some = cookies.slice(start, start + 20).map((cookie) => ["cookie", cookie]);
    await page.goto(`${originOf(SIBLING)}/?${new URLSearchParams(some)}`);
  }
  await page.close();
  await setByScript(context, cookies);
}

async function setByScript(context, cookies) {
  const page = await open(context, SIBLING);
  await page.evaluate((all) => all.forEach((cookie) => (document.cookie = cookie)), cookies);
  await page.close();
}

const numbered = (count, length) =>
  Array.from({ length: count }, (_, number) => {
    const value = "v".repeat(length);
    return `c${number}=${value}; Domain=portico.test; Path=/; Secure`;
  });

const checks = {
  "no script sees a long-lived token": async () => {
    const { context, app, tokens } = await signedInApp();
    const { value, expires, ...attributes } = await cookieOf(context);
    assert.match(value, /^prt_[\w-]+\.pdt_[\w-]+$/);
    assert.deepEqual(attributes, {
      name: NAME,
      domain: "id.portico.test",
      path: "/",
      httpOnly: true,
      secure: true,
      sameSite: "Lax",
    });
    assert.deepEqual([tokens.refreshToken, tokens.deviceToken], [null, null]);
    for (const page of [app, await open(context, "id.portico.test", "/health/ready")]) {
      const visible = await page.evaluate(async () => ({
        cookie: document.cookie,
        cookies: await cookieStore.getAll(),
        stored: { ...localStorage, ...sessionStorage },
        databases: await indexedDB.databases(),
      }));
      assert.deepEqual(visible, { cookie: "", cookies: [], stored: {}, databases: [] });
    }
    await context.close();
  },
  "no answer shows a script the cookie": async () => {
    const { context, app, tokens } = await signedInApp();
    const answers = await app.evaluate(
      async ([url, query, token]) => {
        const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
        const init = { method: "POST", credentials: "include", headers };
        const response = await fetch(url, { ...init, body: JSON.stringify({ query }) });
        const get = await fetch(`${url}?query={__typename}`, { credentials: "include" });
        const all = [...response.headers, ...get.headers];
        return JSON.stringify([all, await response.text(), await get.text()]);
      },
      [endpoint, REFRESH, tokens.accessToken],
    );
    assert.match(answers, /SignedIn/);
    assert.doesNotMatch(answers, /prt_|pdt_|set-cookie/i);
    await context.close();
  },
  "a reload keeps the session": async () => {
    const { context, app, session } = await signedInApp();
    const former = await cookieOf(context);
    await app.reload();
    assert.deepEqual(await whoIsSignedIn(app), { email: ADA.email, session });
    assert.notEqual((await cookieOf(context)).value, former.value);
    await context.close();
  },
  "tabs that refresh at the same time keep the session": async () => {
    const { context, app, session } = await signedInApp();
    const tabs = [app];
    while (tabs.length < 5) tabs.push(await open(context, APP));
    const owner = { email: ADA.email, session };
    const seenByTabs = await Promise.all(tabs.map(whoIsSignedIn));
    assert.deepEqual(seenByTabs, tabs.map(() => owner));
    assert.deepEqual(await whoIsSignedIn(app), owner);
    await context.close();
  },
  "a sibling host can sign nobody out or in": cannotForge(SIBLING),
  "another site can sign nobody out or in": cannotForge(STRANGER),
  "a link of another site cannot sign out": async () => {
    const { context, app, session } = await signedInApp();
    const page = await open(context, STRANGER);
    seen.length = 0;
    await page.evaluate(
      (url) => location.assign(url),
      `${endpoint}?${new URLSearchParams({ query: LOGOUT })}`,
    );
    await until(() => seen.length);
    assert.deepEqual(seen.map(({ text }) => text), ["GET 405"]);
    assert.ok(seen[0].cookies.includes(NAME)); // as SameSite=Lax allows
    assert.deepEqual(await whoIsSignedIn(app), { email: ADA.email, session });
    await context.close();
  },
  "a host that only a pattern allows cannot use the cookie": async () => {
    const { context, app, session } = await signedInApp();
    const page = await open(context, PREVIEW);
    for (const { query, variables } of Object.values(FORGED)) {
      seen.length = 0;
      await assert.rejects(call(page, query, variables), /Failed to fetch/);
      assert.deepEqual(seen.map(({ text }) => text), ["OPTIONS 204"]);
    }
    assert.deepEqual(await whoIsSignedIn(app), { email: ADA.email, session });
    await context.close();
  },
  "cookies that a sibling host sets are not taken for that of Portico": async () => {
    const { context, app, session } = await signedInApp();
    await toss(context, tossed(await cookieOfMallory()));
    assert.deepEqual(await whoIsSignedIn(app), { email: ADA.email, session });
    const { cookies } = seen.at(-1);
    assert.ok(cookies.split("; ").length > 10, cookies); // the browser took many of them
    await context.close();
  },
  "cookies that a sibling host sets sign nobody in": async () => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    await toss(context, tossed(await cookieOfMallory()));
    const app = await open(context, APP);
    assert.deepEqual(await whoIsSignedIn(app), { reason: "UNKNOWN_TOKEN" });
    await context.close();
  },
  "cookies of a sibling host that are too large end no session": async () => {
    const { context, app, session } = await signedInApp();
    await setByScript(context, numbered(10, 3000));
    const { status, errors } = await call(app, REFRESH);
    assert.deepEqual([status, errors[0].extensions.code], [431, "BAD_REQUEST"]);
    await context.clearCookies({ name: /^c/ });
    assert.deepEqual(await whoIsSignedIn(app), { email: ADA.email, session });
    await context.close();
  },
  // Browsers allow this to every host of a site. Nobody is signed in as somebody else by it.
  "a sibling host that fills or clears the cookies of the site signs nobody else in": async () => {
    for (const remove of [
      (context) => setByScript(context, numbered(250, 20)),
      (context) => open(context, SIBLING, "/?clear"),
    ]) {
      const { context, app, session } = await signedInApp();
      await remove(context);
      await until(async () => !(await cookieOf(context)));
      // Which cookies a browser drops, and when, is up to it.
      const isThere = await cookieOf(context);
      const expected = isThere ? { email: ADA.email, session } : { reason: "UNKNOWN_TOKEN" };
      assert.deepEqual(await whoIsSignedIn(app), expected);
      await context.close();
    }
  },
  "signing out leaves no session in the cookie": async () => {
    const { context, app } = await signedInApp();
    assert.deepEqual((await call(app, LOGOUT)).result, { sessionsEnded: 1 });
    assert.match((await cookieOf(context)).value, /^pdt_[\w-]+$/);
    assert.deepEqual(await whoIsSignedIn(app), { reason: "UNKNOWN_TOKEN" });
    await context.close();
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok: ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED: ${name}: ${error.message.slice(0, 2_000)}`);
  }
}
const logged = await sites.stop();
if (/Internal error|Traceback/.test(logged)) {
  failed += 1;
  console.log(`FAILED: the server logged an internal error:\n${logged}`);
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
