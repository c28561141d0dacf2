// Portico's GraphiQL page, driven in Chromium as a person would: PORTICO_URL, PORTICO_EMAIL and
// PORTICO_PASSWORD name a running server (DEBUG on) and an account of it. SCREENSHOT=file.png
// keeps a picture of the signed-in page.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const { PORTICO_URL, PORTICO_EMAIL, PORTICO_PASSWORD, SCREENSHOT } = process.env;
if (!PORTICO_URL || !PORTICO_EMAIL || !PORTICO_PASSWORD) {
  console.error("FAILED: PORTICO_URL, PORTICO_EMAIL and PORTICO_PASSWORD must be set.");
  process.exit(2);
}
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
page.on("pageerror", (error) => offences.push(`page error: ${error.message}`));
page.on("console", (message) => {
  // Monaco only warns when it cannot start a worker, and then works on the main thread.
  const fallback = message.type() === "warning" && message.text().includes("worker");
  if (message.type() === "error" || fallback) offences.push(`console: ${message.text()}`);
});
context.on("request", (request) => {
  const url = request.url();
  if (!url.startsWith("data:") && new URL(url).origin !== origin) offences.push(`request: ${url}`);
});
context.on("response", async (response) => {
  if (response.request().method() !== "POST") return;
  const text = await response.text().catch(() => "");
  const tokens = text.matchAll(/"(?:access|refresh)Token":\s*"([^"]+)"/g);
  for (const [, token] of tokens) secrets.add(token);
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

async function signIn(password) {
  await bar.getByLabel("Email").fill(PORTICO_EMAIL);
  await page.keyboard.press("Tab");
  await page.keyboard.insertText(password);
  await page.keyboard.press("Enter");
}

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
    const request = page.waitForRequest((each) => each.postData()?.includes('"Me"'));
    await page.locator(".graphiql-query-editor .view-lines").getByText("createdAt").first().click();
    await page.keyboard.press("ControlOrMeta+Enter");
    assert.equal((await request).postDataJSON().operationName, "Me");
    await shows(".graphiql-response", '"me": null');
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
  "the token is renewed before it expires": async () => {
    const schema = await page.request.post("/graphql", {
      data: { query: '{ __type(name: "Mutation") { fields { name } } }' },
    });
    if (!(await schema.text()).includes('"refreshSession"')) return "no refreshSession yet";
    const shorten = async (route) => {
      const response = await route.fetch();
      const soon = new Date(Date.now() + 4_000).toISOString();
      const text = await response.text();
      const body = text.replace(/("accessTokenExpiresAt":\s*)"[^"]+"/, `$1"${soon}"`);
      await route.fulfill({ response, body });
    };
    await page.route("**/graphql", shorten, { times: 1 });
    const renewal = page.waitForRequest((request) =>
      request.postData()?.includes("refreshSession"),
    );
    await signIn(PORTICO_PASSWORD);
    const answered = await (await renewal).response();
    const [, token] = (await answered.text()).match(/"accessToken":\s*"([^"]+)"/);
    const next = page.waitForRequest((request) => request.postData()?.includes("renewed"));
    await run("{ renewed: me { email } }");
    const { authorization } = (await next).headers();
    if (authorization !== `Bearer ${token}`) throw new Error("the old token was sent");
    await shows(".graphiql-response", PORTICO_EMAIL);
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
