// Portico's GraphiQL page, driven in Chromium as a person would: PORTICO_URL, PORTICO_EMAIL and
// PORTICO_PASSWORD name a running server (DEBUG on) and an account of it; PORTICO_EMAILS is the file
// to which it prints emails. SCREENSHOT=file.png keeps a picture of the signed-in page.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { authenticator, textOfQrCode } from "./authenticator.mjs";

const { PORTICO_URL, PORTICO_EMAIL, PORTICO_PASSWORD, PORTICO_EMAILS, SCREENSHOT } = process.env;
if (!PORTICO_URL || !PORTICO_EMAIL || !PORTICO_PASSWORD || !PORTICO_EMAILS) {
  console.error(
    "FAILED: PORTICO_URL, PORTICO_EMAIL, PORTICO_PASSWORD and PORTICO_EMAILS must be set.",
  );
  process.exit(2);
}
const READER = `reader-${Date.now()}@example.com`;
const PASSWORD = "difference engine 1";
const OFFLINE = "ERR_INTERNET_DISCONNECTED";
const { origin, hostname } = new URL(PORTICO_URL);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), // Chromium's sandbox refuses root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${hostname}`, // no network but Portico
  ],
});
const context = await browser.newContext({
  baseURL: origin,
  viewport: { width: 1280, height: 800 },
});
context.setDefaultTimeout(15_000);
const page = await context.newPage();

// What the page must never do, whatever else is being checked.
const offences = [];
const secrets = new Set();
const challenges = new Set();
const totpCodes = new Set();
const answers = [];
page.on("pageerror", (error) => offences.push(`page error: ${error.message}`));
page.on("console", (message) => {
  // Monaco only warns when it cannot start a worker, and then works on the main thread.
  const fallback = message.type() === "warning" && message.text().includes("worker");
  const expected = message.text().includes(OFFLINE);
  if ((message.type() === "error" && !expected) || fallback) offences.push(`console: ${message.text()}`);
});
context.on("request", (request) => {
  const url = request.url();
  if (!url.startsWith("data:") && new URL(url).origin !== origin) offences.push(`request: ${url}`);
});
context.on("response", async (response) => {
  if (response.request().method() !== "POST") return;
  const text = await response.text().catch(() => "");
  answers.push({ text, authorization: response.request().headers().authorization });
  const tokens = text.matchAll(/"(?:access|refresh)Token":\s*"([^"]+)"/g);
  for (const [, token] of tokens) secrets.add(token);
  for (const [token] of text.matchAll(/\bpct_[\w-]+/g)) challenges.add(token);
  for (const [, codes] of text.matchAll(/"(?:recoveryCodes|codes)":\s*\[([^\]]+)\]/g)) {
    for (const code of JSON.parse(`[${codes}]`)) secrets.add(code);
  }
  if (/"refreshToken":\s*"/.test(text)) offences.push("a refresh token was sent to the page");
});

const button = (name) => page.getByRole("button", { name, exact: true });
const bar = page.getByRole("banner");

async function shows(selector, ...texts) {
  await page.waitForFunction(
    // Monaco draws its spaces as U+00A0.
    ([place, wanted]) => {
      const seen = document.querySelector(place)?.textContent.replaceAll("\u00a0", " ") ?? "";
      return wanted.every((text) => seen.includes(text));
    },
    [selector, texts],
  );
}

/** Changes the answers that have this text, until `reconnect`. */
async function changeAnswers(text, change) {
  await page.route("**/graphql", async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    const response = await route.fetch();
    const body = await response.text();
    return route.fulfill({ response, body: body.includes(text) ? change(body) : body });
  });
}

/** Lets no operation of the page reach the server, as with a network that is gone. */
async function disconnect() {
  await page.route("**/graphql", (route) => {
    const isOperation = route.request().method() === "POST";
    return isOperation ? route.abort("internetdisconnected") : route.continue();
  });
}

const reconnect = () => page.unroute("**/graphql");

async function write(text, editor = ".graphiql-query-editor") {
  await page.locator(`${editor} .view-lines`).click();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.insertText(text);
  await page.keyboard.press("ControlOrMeta+Shift+End"); // the brackets that Monaco closed for us
  await page.keyboard.press("Delete");
}

async function run(query) {
  await write(query);
  // GraphiQL reads the operation's name a moment after the keys; what it stores tells when.
  await page.waitForFunction((text) => localStorage.getItem("graphiql:query") === text, query);
  await page.keyboard.press("ControlOrMeta+Enter");
}

/** Runs a query of this alias, and returns the Authorization header that it was sent with. */
async function authorizationOf(alias) {
  await run(`{ ${alias}: me { email } }`);
  for (let tries = 0; tries < 100; tries += 1) {
    const answer = answers.find(({ text }) => text.startsWith(`{"data":{"${alias}":`));
    if (answer) return answer.authorization;
    await page.waitForTimeout(100);
  }
  throw new Error(`${alias} was not answered`);
}

async function signIn(password, email = PORTICO_EMAIL) {
  await bar.getByLabel("Email").fill(email);
  await page.keyboard.press("Tab");
  await page.keyboard.insertText(password);
  await page.keyboard.press("Enter");
}

/** Sends an operation as another client than the browser. */
async function ask(query, accessToken) {
  const response = await fetch(new URL("/graphql", PORTICO_URL), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(accessToken && { authorization: `Bearer ${accessToken}` }),
    },
    body: JSON.stringify({ query }),
  });
  return (await response.json()).data;
}

/** Returns how many sessions of READER live, without the one that looks. */
async function sessions() {
  const { login } = await ask(
    `mutation { login(input: { email: "${READER}", password: "${PASSWORD}" }) {
       ... on SignedIn { tokens { accessToken } } } }`,
  );
  const { accessToken } = login.tokens;
  const { me } = await ask("{ me { sessions { nodes { isCurrent } } } }", accessToken);
  await ask("mutation { logout { sessionsEnded } }", accessToken);
  return me.sessions.nodes.filter(({ isCurrent }) => !isCurrent).length;
}

const TOKENS = "... on SignedIn { tokens { accessToken } }";

/** Verifies the address of READER with the link that was emailed, on another device. */
async function verifyAddress() {
  const { login } = await ask(
    `mutation { login(input: { email: "${READER}", password: "${PASSWORD}" }) { ${TOKENS} } }`,
  );
  let token;
  while (!token) {
    const emails = await readFile(PORTICO_EMAILS, "utf8");
    token = emails.match(new RegExp(`To: ${READER}[^]*?#token=(pot_[\\w-]+)\\s`))?.[1];
    await page.waitForTimeout(100);
  }
  const { verifyEmail } = await ask(
    `mutation { verifyEmail(input: { token: "${token}" }) { __typename ${TOKENS} } }`,
    login.tokens.accessToken,
  );
  assert.equal(verifyEmail.__typename, "SignedIn");
  await ask("mutation { logout { sessionsEnded } }", verifyEmail.tokens.accessToken);
  await ask("mutation { logout { sessionsEnded } }", login.tokens.accessToken);
}

/** Another device of READER, on which factors can be enrolled and removed. */
async function otherDevice() {
  const { login } = await ask(
    `mutation { login(input: { email: "${READER}", password: "${PASSWORD}" }) {
       ... on ChallengeRequired { challenge { token } } } }`,
  );
  const { answerChallenge } = await ask(
    `mutation { answerChallenge(input: {
       token: "${login.challenge.token}", answer: { totp: "${await nextCode()}" } }) { ${TOKENS} } }`,
  );
  const { accessToken } = answerChallenge.tokens;
  return {
    async remove() {
      const { me } = await ask("{ me { factors { id } } }", accessToken);
      const id = me.factors[0].id;
      await ask(`mutation { removeFactor(input: { factorId: "${id}" }) { __typename } }`, accessToken);
    },
    /** After this, the proofs of all other sessions are too old. */
    async enroll() {
      // So they are after another session has removed a factor.
      const { stepUp } = await ask(
        `mutation { stepUp(input: { answer: { password: "${PASSWORD}" } }) { __typename } }`,
        accessToken,
      );
      assert.equal(stepUp.__typename, "SteppedUp");
      const { beginTotpEnrollment } = await ask(
        "mutation { beginTotpEnrollment { ... on TotpEnrollment { secret } } }",
        accessToken,
      );
      nextCode = authenticator(beginTotpEnrollment.secret);
      const { confirmTotpEnrollment } = await ask(
        `mutation { confirmTotpEnrollment(input: { code: "${await nextCode()}" }) { __typename } }`,
        accessToken,
      );
      assert.equal(confirmTotpEnrollment.__typename, "FactorAdded");
    },
  };
}

const panel = page.getByRole("dialog", { name: "Two-step sign-in" });
const confirmation = page.getByRole("dialog", { name: "Confirm that it is you" });
const inPanel = (name) => panel.getByRole("button", { name, exact: true });
let nextCode;
let recoveryCodes;
let device;

/** Sends the form of one field that is on the screen. */
async function enter(text) {
  if (/^\d{6}$/.test(text)) totpCodes.add(text);
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.insertText(text);
  await page.keyboard.press("Enter");
}

const focused = () => page.evaluate(() => document.activeElement.labels?.[0].textContent ?? "");

const { register } = await ask(
  `mutation { register(input: { email: "${READER}", password: "${PASSWORD}" }) {
     ... on SignedIn { tokens { accessToken } } } }`,
);
await ask("mutation { logout { sessionsEnded } }", register.tokens.accessToken);

const checks = {
  "the page loads with its editor and a query to start from": async () => {
    await page.goto("/graphql");
    await shows(".graphiql-query-editor", "Welcome to Portico", "query Me");
  },
  "the docs are open on the description of the schema": async () => {
    await shows(".graphiql-plugin", "Portico: accounts, sign-in and sessions.");
    await button("Hide Documentation Explorer").click();
    await page.reload();
    await shows(".graphiql-query-editor", "query Me");
    await button("Show Documentation Explorer").waitFor();
  },
  "the operation at the cursor is run": async () => {
    await page.locator(".graphiql-query-editor .view-lines").click();
    await page.keyboard.press("ControlOrMeta+End");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ControlOrMeta+Enter");
    await shows(".graphiql-response", '"users": null', "UNAUTHENTICATED");
  },
  "a guest has no user": async () => {
    await run("{ me { email } }");
    await shows(".graphiql-response", '"me": null');
  },
  "the schema is checked while typing, in a worker": async () => {
    await write("{ noSuchField }");
    await page.locator(".graphiql-query-editor .squiggly-error").waitFor();
  },
  "a query is prettified": async () => {
    await write("{me{email}}");
    await page.getByRole("button", { name: /^Prettify query/ }).click();
    await shows(".graphiql-query-editor", "  me {");
  },
  "a wrong password is told beside the form": async () => {
    await signIn(`not ${PORTICO_PASSWORD}`);
    await bar.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
  },
  "signing in shows who is signed in": async () => {
    await signIn(PORTICO_PASSWORD);
    await bar.getByRole("status").filter({ hasText: PORTICO_EMAIL }).waitFor();
  },
  "requests carry the token": async () => {
    await run("{ me { email role } }");
    await shows(".graphiql-response", PORTICO_EMAIL, '"role"');
  },
  "a header of the person's own goes before the token": async () => {
    await button("Headers").click();
    const headers = ".graphiql-editor-tool .graphiql-editor:not(.hidden)";
    await write('{ "authorization": "" }', headers);
    await run("{ me { email } }");
    await shows(".graphiql-response", '"me": null');
    await write("", headers);
  },
  "the docs show the schema": async () => {
    await button("Show Documentation Explorer").click();
    await shows(".graphiql-plugin", "Query", "Mutation");
  },
  "the history remembers": async () => {
    await button("Show History").click();
    await shows(".graphiql-plugin", "me");
  },
  "the explorer offers the fields": async () => {
    await button("Show GraphiQL Explorer").click();
    await shows(".graphiql-plugin", "me", "users");
    if (SCREENSHOT) await page.screenshot({ path: SCREENSHOT });
  },
  "on a small screen everything is reachable": async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await button("Hide GraphiQL Explorer").click();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    await run("{ me { displayName } }");
    await shows(".graphiql-response", '"displayName"');
    for (const part of [".graphiql-query-editor", ".graphiql-response", ".portico-bar button"]) {
      const { x, y, width, height } = await page.locator(part).first().boundingBox();
      assert.ok(x >= 0 && x + width <= 390 && y >= 0 && y + height <= 844, part);
      assert.ok(width > 40 && height > 30, part);
    }
    await button("Show Documentation Explorer").click();
    const docs = await page.locator(".graphiql-plugin").boundingBox();
    assert.equal(docs.width, 390);
    await button("Hide Documentation Explorer").click();
    await page.locator(".graphiql-query-editor .view-lines").click();
    await page.setViewportSize({ width: 1280, height: 800 });
  },
  "another tab can be opened": async () => {
    await button("New tab").click();
    await page.locator(".graphiql-tab").nth(1).waitFor();
  },
  "no token and no header is written down": async () => {
    const stored = await page.evaluate(() =>
      JSON.stringify([localStorage, sessionStorage, document.cookie]),
    );
    if (!secrets.size) throw new Error("no token was seen in an answer");
    for (const secret of secrets) if (stored.includes(secret)) throw new Error("a token is stored");
    if (stored.includes("authorization")) throw new Error("a header is stored");
  },
  "signing out makes a guest again": async () => {
    await button("Sign out").click();
    await bar.getByLabel("Email").waitFor();
    await run("{ me { email } }");
    await shows(".graphiql-response", '"me": null');
  },
  "a reload stays signed in, with one session": async () => {
    await signIn(PASSWORD, READER);
    await bar.getByRole("status").filter({ hasText: READER }).waitFor();
    for (let reloads = 0; reloads < 3; reloads += 1) {
      await page.reload();
      await bar.getByRole("status").filter({ hasText: READER }).waitFor();
    }
    await run("{ me { email } }");
    await shows(".graphiql-response", READER);
    assert.equal(await sessions(), 1);
  },
  "another tab is signed in too, and both are signed out together": async () => {
    const other = await context.newPage();
    await other.goto("/graphql");
    const otherBar = other.getByRole("banner");
    await otherBar.getByRole("status").filter({ hasText: READER }).waitFor();
    assert.equal(await sessions(), 1);
    await otherBar.getByRole("button", { name: "Sign out", exact: true }).click();
    await bar.getByLabel("Email").waitFor();
    await run("{ me { email } }");
    await shows(".graphiql-response", '"me": null');
    assert.equal(await sessions(), 0);
    await other.close();
  },
  "a sign-out that the server did not hear of is told, and is tried again": async () => {
    const unfinished = bar
      .getByRole("alert")
      .filter({ hasText: "the server could not be reached: a reload signs you in again." });
    await signIn(PASSWORD, READER);
    await bar.getByRole("status").filter({ hasText: READER }).waitFor();
    await disconnect();
    await button("Sign out").click();
    await unfinished.waitFor();
    await reconnect();
    await page.reload();
    await bar.getByRole("status").filter({ hasText: READER }).waitFor();
    await disconnect();
    await button("Sign out").click();
    await unfinished.waitFor();
    await button("Try again").click();
    await button("Try again").waitFor();
    assert.equal(await sessions(), 1);
    await reconnect();
    await button("Try again").click();
    await unfinished.waitFor({ state: "detached" });
    assert.equal(await sessions(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.name), "email");
    await page.reload();
    await bar.getByLabel("Email").waitFor();
  },
  "a page that cannot reach the server says that it is connecting": async () => {
    await disconnect();
    await page.reload();
    await bar.getByRole("status").filter({ hasText: "Connecting" }).waitFor();
    await reconnect();
    await bar.getByLabel("Email").waitFor();
  },
  "signing in again replaces the session that the browser has": async () => {
    await signIn(PASSWORD, READER);
    await bar.getByRole("status").filter({ hasText: READER }).waitFor();
    await run(
      `mutation { login(input: { email: "${READER}", password: "${PASSWORD}", delivery: COOKIE }) { __typename } }`,
    );
    await shows(".graphiql-response", "SignedIn");
    assert.equal(await sessions(), 1);
  },
  "the token is renewed before it expires": async () => {
    const first = await authorizationOf("first");
    assert.equal(await authorizationOf("second"), first);
    await page.evaluate(() => {
      const { now } = Date;
      Date.now = () => now() + 14.5 * 60_000; // of the 15 minutes of a token
    });
    const renewed = await authorizationOf("renewed");
    assert.match(renewed, /^Bearer ey/);
    assert.notEqual(renewed, first);
    await shows(".graphiql-response", READER);
    assert.equal(await sessions(), 1);
  },
  "a second factor needs a verified address, and the panel sends the link": async () => {
    await page.reload();
    await button("Two-step sign-in").click();
    await inPanel("Add an authenticator app").click();
    await inPanel(`Send a link to ${READER}`).click();
    await panel.getByRole("status").filter({ hasText: /\w/ }).waitFor();
    await verifyAddress();
  },
  "an authenticator app is enrolled with a QR code that is drawn here": async () => {
    await inPanel("Add an authenticator app").click();
    const code = panel.getByRole("img", { name: "QR code for an authenticator app" });
    const scanned = new URL(await textOfQrCode(code));
    const secret = (await panel.getByRole("code").textContent()).replaceAll(" ", "");
    assert.equal(scanned.searchParams.get("secret"), secret);
    secrets.add(secret);
    nextCode = authenticator(secret);
    await panel.getByLabel("Code of your app").click();
    await enter("12345");
    await panel.getByRole("alert").filter({ hasText: "This code is wrong" }).waitFor();
    assert.equal(await focused(), "Code of your app");
    await enter(await nextCode());
    await inPanel("I have kept them").waitFor();
  },
  "the recovery codes are shown once, to copy and to download": async () => {
    recoveryCodes = await panel.getByRole("code").allTextContents();
    assert.equal(new Set(recoveryCodes).size, 10);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape"); // which browsers pass over a handler of `cancel`
    await inPanel("I have kept them").waitFor();
    await page.evaluate(() => {
      const { revokeObjectURL } = URL;
      window.revoked = [];
      URL.revokeObjectURL = (url) => {
        window.revoked.push(url);
        revokeObjectURL(url);
      };
      navigator.clipboard.writeText = () => Promise.reject(new DOMException("", "NotAllowedError"));
    });
    await inPanel("Copy").click();
    await panel.getByText("This browser did not let the page copy").waitFor();
    await page.evaluate(() => delete navigator.clipboard.writeText);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await inPanel("Copy").click();
    await panel.getByText("Copied.").waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      panel.getByRole("link", { name: "Download" }).click(),
    ]);
    const downloaded = await readFile(await download.path(), "utf8");
    assert.match(download.url(), /^blob:/);
    assert.equal(download.suggestedFilename(), "recovery-codes.txt");
    assert.equal(downloaded, copied);
    for (const each of recoveryCodes) assert.ok(copied.split("\n").includes(each), each);
    await inPanel("I have kept them").click();
    await panel.getByText("Recovery codes left: 10").waitFor();
    assert.deepEqual(await page.evaluate(() => window.revoked), [download.url()]);
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "detached" });
  },
  "factors that could not be read are an error, not an empty page": async () => {
    await changeAnswers('"factors":', () =>
      JSON.stringify({
        data: { result: { __typename: "User", factors: null, recoveryCodesLeft: 10 } },
        errors: [{ message: "Not now.", path: ["result", "factors"] }],
      }),
    );
    await button("Two-step sign-in").click();
    await panel.getByText("Not now.").waitFor();
    await reconnect();
    await inPanel("Close").click();
    await panel.waitFor({ state: "detached" });
  },
  "signing in asks for a code, which can be cancelled": async () => {
    await button("Sign out").click();
    await bar.getByLabel("Email").waitFor();
    await signIn(PASSWORD, READER);
    await bar.getByLabel("Code of your app").waitFor();
    assert.equal(await focused(), "Code of your app");
    await button("Cancel").click();
    await bar.getByLabel("Email").waitFor();
    assert.equal(await focused(), "Email");
    await signIn(PASSWORD, READER);
    await bar.getByLabel("Code of your app").waitFor();
    await enter("12345");
    await bar.getByRole("alert").filter({ hasText: "This code is wrong" }).waitFor();
    await enter(await nextCode());
    await bar.getByRole("status").filter({ hasText: READER }).waitFor();
    await page.reload();
    await bar.getByRole("status").filter({ hasText: READER }).waitFor();
  },
  "a recovery code signs in, too, also after a sign-out that the server did not hear of": async () => {
    await disconnect();
    await button("Sign out").click();
    await button("Try again").waitFor();
    await reconnect();
    await signIn(PASSWORD, READER);
    await button("Use a recovery code").click();
    assert.equal(await focused(), "Recovery code");
    await enter(recoveryCodes[0]);
    await bar.getByRole("status").filter({ hasText: READER }).waitFor();
    await button("Two-step sign-in").click();
    await panel.getByText("Recovery codes left: 9").waitFor();
  },
  "what the panel is refused for an old proof asks to confirm, or changes nothing": async () => {
    device = await otherDevice();
    await device.remove();
    await device.enroll();
    await inPanel("Renew recovery codes").click();
    await inPanel("Make new codes").click();
    await confirmation.getByText("Lost your phone? Sign out").waitFor();
    await confirmation.getByRole("button", { name: "Cancel" }).click();
    await confirmation.waitFor({ state: "detached" });
    await panel.getByRole("status").filter({ hasText: "Nothing was changed" }).waitFor();
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "detached" });
  },
  "what the editor is refused is answered after a code, and the focus returns": async () => {
    await run("mutation { renewRecoveryCodes { codes } }");
    await confirmation.waitFor();
    await page.keyboard.press("Escape");
    await shows(".graphiql-response", "STEP_UP_REQUIRED");
    await run("mutation { again: renewRecoveryCodes { codes } }");
    await confirmation.waitFor();
    assert.equal(await focused(), "Code of your app");
    await enter("12345");
    await confirmation.getByRole("alert").filter({ hasText: "This code is wrong" }).waitFor();
    await enter(await nextCode());
    await confirmation.waitFor({ state: "detached" });
    await shows(".graphiql-response", '"again": {', '"codes": [');
    const editor = ".graphiql-query-editor";
    assert.ok(await page.evaluate((place) => !!document.activeElement.closest(place), editor));
  },
  "the panel renews recovery codes, and removes the factor": async () => {
    await button("Two-step sign-in").click();
    await inPanel("Renew recovery codes").click();
    await panel.getByText("Those that you have, printed ones too, stop working.").waitFor();
    await inPanel("Keep as it is").click();
    await inPanel("Renew recovery codes").click();
    await inPanel("Make new codes").click();
    await inPanel("I have kept them").click();
    await panel.getByText("Recovery codes left: 10").waitFor();
    await inPanel("Remove").click();
    await panel.getByText("printed ones too, stop working.").waitFor();
    await inPanel("Remove the app").click();
    await inPanel("Add an authenticator app").waitFor();
    await inPanel("Close").click();
    await panel.waitFor({ state: "detached" });
  },
  "without a second factor the password is asked for": async () => {
    await device.enroll();
    await device.remove();
    await run("mutation { beginTotpEnrollment { __typename } }");
    await confirmation.waitFor();
    assert.equal(await focused(), "Password");
    await enter(PASSWORD);
    await shows(".graphiql-response", "TotpEnrollment");
  },
  "the dialogs of a user close when that user signs out in another tab": async () => {
    await device.enroll();
    await device.remove();
    await button("Two-step sign-in").click();
    await inPanel("Add an authenticator app").click();
    await confirmation.waitFor();
    const other = await context.newPage();
    await other.goto("/graphql");
    await other.getByRole("button", { name: "Sign out", exact: true }).click();
    await confirmation.waitFor({ state: "detached" });
    await panel.waitFor({ state: "detached" });
    await other.close();
    await signIn(PASSWORD, READER);
    await bar.getByRole("status").filter({ hasText: READER }).waitFor();
  },
  "on a small screen the second factor is enrolled, too": async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await button("Two-step sign-in").click();
    await inPanel("Add an authenticator app").click();
    const code = await panel.getByRole("img").boundingBox();
    assert.ok(code.width > 200 && code.x >= 0 && code.x + code.width <= 390);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    await page.keyboard.press("Escape");
    await page.setViewportSize({ width: 1280, height: 800 });
  },
  "no secret of a factor is written down": async () => {
    const written = await page.evaluate(() =>
      JSON.stringify([localStorage, sessionStorage, document.cookie, location.href, history.state]),
    );
    const codes = [...secrets].filter((secret) => !recoveryCodes.includes(secret));
    assert.ok(recoveryCodes.every((code) => secrets.has(code)) && codes.length >= 20, "renewed codes");
    assert.ok(challenges.size && totpCodes.size, "challenges and codes were seen");
    for (const secret of [...secrets, ...challenges]) {
      assert.ok(!written.includes(secret), "a secret is written down");
    }
    for (const code of totpCodes) {
      assert.doesNotMatch(written, new RegExp(`(?<!\\d)${code}(?!\\d)`)); // not a part of a time
    }
  },
};

let passed = 0;
for (const [name, check] of Object.entries(checks)) {
  let skipped, failure;
  try {
    skipped = await check();
  } catch (error) {
    failure = error.message.split("\n")[0];
  }
  failure = offences[0] ?? failure; // what the page did wrong is likelier the cause
  if (failure) {
    console.error(`FAILED: ${name}: ${failure}`);
    if (SCREENSHOT) await page.screenshot({ path: SCREENSHOT });
    console.log(`${passed} passed, 1 failed`);
    await browser.close();
    process.exit(1);
  }
  passed += skipped ? 0 : 1;
  console.log(skipped ? `skipped: ${name}: ${skipped}` : `ok: ${name}`);
}
await browser.close();
console.log(`${passed} passed, 0 failed`);
