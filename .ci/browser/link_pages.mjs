// The pages that links in emails open, in Chromium, on a small screen: PORTICO_URL, PORTICO_EMAIL
// and PORTICO_PASSWORD name a running server without FRONTEND_URL and an administrator of it;
// PORTICO_EMAILS is the file to which it prints emails. SCREENSHOTS=folder keeps pictures.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const { PORTICO_URL, PORTICO_EMAIL, PORTICO_PASSWORD, PORTICO_EMAILS, SCREENSHOTS } = process.env;
if (!PORTICO_URL || !PORTICO_EMAIL || !PORTICO_PASSWORD || !PORTICO_EMAILS) {
  console.error(
    "FAILED: PORTICO_URL, PORTICO_EMAIL, PORTICO_PASSWORD and PORTICO_EMAILS must be set.",
  );
  process.exit(2);
}
const { origin, hostname } = new URL(PORTICO_URL);
const PASSWORD = "difference engine 1";
const NEW_PASSWORD = "analytical engine 2";
const run = Date.now();
const ada = `ada-${run}@example.com`;
const grace = `grace-${run}@example.com`;
const alan = `alan-${run}@example.com`;
const kay = `kay-${run}@example.com`;
const moved = `countess-${run}@example.com`;
const invited = `charles-${run}@example.com`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), // Chromium's sandbox refuses root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${hostname}`, // no network but Portico
  ],
});
const context = await browser.newContext({
  viewport: { width: 390, height: 844 },
  colorScheme: process.env.COLOR_SCHEME,
});
context.setDefaultTimeout(15_000);
const page = await context.newPage();

// What a page must never do, whatever else is being checked. A violation of its policy is an error.
const offences = [];
page.on("pageerror", (error) => offences.push(`page error: ${error.message}`));
page.on("console", (message) => {
  if (message.type() === "error") offences.push(`console: ${message.text()}`);
});
context.on("request", (request) => {
  const url = request.url();
  if (!url.startsWith("data:") && new URL(url).origin !== origin) offences.push(`request: ${url}`);
  if (request.headers().referer?.includes("pot_")) offences.push(`referer: ${url}`);
});
const sent = [];
page.on("request", (request) => {
  if (request.method() === "POST") sent.push(request.postData());
});

async function ask(query, input, accessToken) {
  const response = await fetch(new URL("/graphql", PORTICO_URL), {
    method: "POST",
    headers: {
      accept: "application/graphql-response+json",
      "content-type": "application/json",
      ...(accessToken && { authorization: `Bearer ${accessToken}` }),
    },
    body: JSON.stringify({ query, variables: { input } }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined);
  return data;
}

async function signIn(email, password) {
  const { login } = await ask(
    `mutation ($input: LoginInput!) { login(input: $input) {
       __typename ... on SignedIn { tokens { accessToken } } } }`,
    { email, password },
  );
  return login.tokens?.accessToken;
}

/** Registers a user of this address, to which a link is sent. */
async function register(email) {
  await ask("mutation ($input: RegisterInput!) { register(input: $input) { __typename } }", {
    email,
    password: PASSWORD,
  });
  await ask(
    "mutation ($input: EmailInput!) { requestEmailVerification(input: $input) { __typename } }",
    { email },
  );
}

async function signInToGraphiQL(email, password) {
  await page.goto(`${origin}/graphql`);
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.keyboard.press("Enter");
  await page.getByRole("status").filter({ hasText: email }).waitFor();
}

/** Returns what an administrator sees of the users with this address. */
async function usersNamed(email) {
  const { users } = await ask(
    `query ($input: UserFilter) {
       users(first: 2, filter: $input) { nodes { emailVerified sessions { nodes { id } } } } }`,
    { search: email },
    await signIn(PORTICO_EMAIL, PORTICO_PASSWORD),
  );
  return users.nodes;
}

/** Returns the last link that was emailed to an address, with this subject. */
async function link(email, subject) {
  for (let tries = 0; tries < 100; tries += 1) {
    const emails = (await readFile(PORTICO_EMAILS, "utf8")).split(/^-+$/m);
    const last = emails.findLast((text) => text.includes(`To: ${email}\nSubject: ${subject}`));
    const found = last?.match(/^http\S+$/m);
    if (found) return found[0];
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no link was sent to ${email}`);
}

const heading = (name) => page.getByRole("heading", { name, exact: true });
const button = (name) => page.getByRole("button", { name, exact: true });

async function open(url, name) {
  sent.length = 0;
  await page.goto("about:blank");
  await page.goto(url);
  await heading(name).waitFor();
  assert.equal(page.url().includes("pot_"), false, "the token is in the address bar");
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(width, 390, "the page is wider than the screen");
}

async function press(name, expected, text) {
  await button(name).click();
  await heading(expected).waitFor();
  await page.getByRole("status").filter({ hasText: text }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), expected);
}

/** Opens a tab that holds the lock of @portico/client until it is closed. */
async function tabThatChangesTheCookie() {
  const tab = await context.newPage();
  await tab.goto(`${origin}/verify-email`);
  await tab.evaluate(async (name) => {
    const forever = new Promise(() => {});
    await new Promise((held) => {
      navigator.locks.request(name, () => {
        held();
        return forever;
      });
    });
  }, `portico ${origin}/graphql`);
  return tab;
}

async function waitsForAnotherTab() {
  for (let tries = 0; tries < 50; tries += 1) {
    const { pending } = await page.evaluate(() => navigator.locks.query());
    if (pending.length > 0) return;
    await page.waitForTimeout(100);
  }
  throw new Error("the page does not wait for the lock");
}

async function picture(name) {
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
}

const VERIFIED_WITHOUT_SESSION = [{ emailVerified: true, sessions: { nodes: [] } }];
const LOST = "console: Failed to load resource: net::ERR_CONNECTION_RESET";
const SESSIONS = "{ me { sessions { nodes { id } } } }";

const checks = {
  "an address is verified only when the button is pressed": async () => {
    await register(ada);
    await open(await link(ada, "Confirm your email address"), "Verify your email address");
    assert.deepEqual(sent, []);
    await picture("verify");
    await press("Verify", "Your email address is verified", `${ada}. You can sign in now.`);
    await picture("verified");
  },
  "a link to go on is offered": async () => {
    await page.getByRole("link", { name: "Open GraphiQL" }).click();
    await page.waitForURL(`${origin}/graphql`);
  },
  "a link works once": async () => {
    await open(await link(ada, "Confirm your email address"), "Verify your email address");
    await button("Verify").click();
    await page.getByRole("alert").filter({ hasText: "invalid or has expired" }).waitFor();
    assert.equal(await page.locator("form").count(), 0);
  },
  "a page without a link asks for one, and sends nothing": async () => {
    for (const path of ["/verify-email", "/reset-password", "/confirm-email"]) {
      sent.length = 0;
      await page.goto(origin + path);
      await page.getByRole("alert").filter({ hasText: "Open the link again." }).waitFor();
      await page.waitForLoadState("networkidle");
      assert.equal(await page.locator("form").count(), 0);
      assert.deepEqual(sent, []);
      assert.deepEqual(offences, []);
    }
  },
  "another link opened in the same tab is read": async () => {
    await page.goto(`${origin}/verify-email#token=pot_${"0".repeat(43)}`);
    await button("Verify").click();
    await page.getByRole("alert").filter({ hasText: "invalid or has expired" }).waitFor();
    assert.equal(await page.locator("form").count(), 0);
    assert.equal(page.url(), `${origin}/verify-email`);
  },
  "a password that is easy to guess is refused beside its field": async () => {
    await open(await link(ada, "Choose a password for your account"), "Choose a password");
    await page.getByText("At least 8 characters, and not easy to guess.").waitFor();
    await page.getByLabel("New password").fill("password");
    await button("Set password").click();
    await page.getByRole("listitem").waitFor();
    const field = page.getByLabel("New password");
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    assert.equal(await field.evaluate((input) => input === document.activeElement), true);
    await picture("refused");
  },
  "a password can be shown, and is set": async () => {
    const field = page.getByLabel("New password");
    await field.fill(NEW_PASSWORD);
    assert.equal(await page.getByRole("listitem").count(), 0);
    await page.getByLabel("Show password").check();
    assert.equal(await field.getAttribute("type"), "text");
    await press("Set password", "Your password is set", ada);
  },
  "in a session of the account its password stays, and the session continues": async () => {
    await register(grace);
    await signInToGraphiQL(grace, PASSWORD);
    await open(await link(grace, "Confirm your email address"), "Verify your email address");
    await press("Verify", "Your email address is verified", grace);
    await page.getByRole("link", { name: "Open GraphiQL" }).click();
    await page.getByRole("status").filter({ hasText: grace }).waitFor();
    const { me } = await ask(SESSIONS, undefined, await signIn(grace, PASSWORD));
    // Of the registration, of GraphiQL, and of this sign-in.
    assert.equal(me.sessions.nodes.length, 3);
  },
  "the link of another account leaves who is signed in as it is, and no session": async () => {
    await register(alan);
    await open(await link(alan, "Confirm your email address"), "Verify your email address");
    await press("Verify", "Your email address is verified", alan);
    await page.getByRole("link", { name: "Open GraphiQL" }).click();
    await page.getByRole("status").filter({ hasText: grace }).waitFor();
    assert.deepEqual(await usersNamed(alan), VERIFIED_WITHOUT_SESSION);
  },
  "the link of a user with a second factor verifies, and signs nobody in": async () => {
    // Such a user has no link by now, since the first proof of an address ends the others.
    const challenge = { data: { result: { __typename: "ChallengeRequired" } } };
    await page.route("**/graphql", (route) => route.fulfill({ json: challenge }));
    await open(`${origin}/verify-email#token=pot_${"0".repeat(43)}`, "Verify your email address");
    await press("Verify", "Your email address is verified", "a code of your authenticator app");
    assert.equal(sent.length, 1);
    await page.unroute("**/graphql");
  },
  "a link whose answer was lost works again, and leaves no session": async () => {
    await register(kay);
    await open(await link(kay, "Confirm your email address"), "Verify your email address");
    await page.route("**/graphql", async (route) => {
      await route.fetch();
      await route.abort("connectionreset");
    });
    await button("Verify").click();
    await page.getByRole("alert").filter({ hasText: "could not be reached" }).waitFor();
    await page.unroute("**/graphql");
    await press("Verify", "Your email address is verified", kay);
    assert.deepEqual(offences.splice(0), [LOST]);
    assert.deepEqual(await usersNamed(kay), VERIFIED_WITHOUT_SESSION);
  },
  "a password is set while no other tab changes the cookie": async () => {
    await open(await link(kay, "Choose a password for your account"), "Choose a password");
    await page.getByText("At least 8 characters").waitFor();
    await page.getByLabel("New password").fill(NEW_PASSWORD);
    const other = await tabThatChangesTheCookie();
    sent.length = 0;
    await button("Set password").click();
    await waitsForAnotherTab();
    assert.deepEqual(sent, []);
    await other.close();
    await heading("Your password is set").waitFor();
    await page.goto(`${origin}/graphql`);
    await page.getByRole("status").filter({ hasText: grace }).waitFor();
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await page.getByLabel("Email").waitFor();
  },
  "no session is left behind": async () => {
    const { me } = await ask(SESSIONS, undefined, await signIn(ada, NEW_PASSWORD));
    assert.equal(me.sessions.nodes.length, 1);
  },
  "a change of address is confirmed": async () => {
    await ask(
      `mutation ($input: RequestEmailChangeInput!) { requestEmailChange(input: $input) { __typename } }`,
      { newEmail: moved, password: NEW_PASSWORD },
      await signIn(ada, NEW_PASSWORD),
    );
    await open(await link(moved, "Confirm your new email address"), "Confirm the email address");
    assert.deepEqual(sent, []);
    await picture("confirm");
    await press("Confirm", "The email address is confirmed", moved);
  },
  "and undone from the former address": async () => {
    await open(await link(ada, "Your email address was changed"), "Confirm the email address");
    await press("Confirm", "The email address is confirmed", ada);
    assert.equal(await signIn(ada, NEW_PASSWORD), undefined);
  },
  "an invitation is accepted": async () => {
    await ask(
      `mutation ($input: CreateUserInput!) { createUser(input: $input) { __typename } }`,
      { email: invited },
      await signIn(PORTICO_EMAIL, PORTICO_PASSWORD),
    );
    await open(await link(invited, "You have been invited"), "Choose a password");
    await page.getByLabel("New password").fill(NEW_PASSWORD);
    await page.keyboard.press("Enter");
    await heading("Your password is set").waitFor();
    assert.equal(typeof (await signIn(invited, NEW_PASSWORD)), "string");
  },
};

let passed = 0;
let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  offences.length = 0;
  try {
    await check();
    assert.deepEqual(offences, []);
    passed += 1;
    console.log(`ok: ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED: ${name}: ${error.message} ${offences.join(" ")}`);
  }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
