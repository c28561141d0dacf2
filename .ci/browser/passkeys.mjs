// Passkeys in Portico's GraphiQL page, with Chromium's virtual authenticator (Web Authentication,
// section 11). The environment is that of graphiql.mjs, with an address of loopback.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const { PORTICO_URL, PORTICO_EMAILS } = process.env;
if (!PORTICO_URL || !PORTICO_EMAILS) {
  console.error("FAILED: PORTICO_URL and PORTICO_EMAILS must be set.");
  process.exit(2);
}
const READER = `passkey-${Date.now()}@example.com`;
const PASSWORD = "difference engine 1";
const address = new URL("/graphql", PORTICO_URL).href;
// Browsers make no passkeys for addresses.
const url = address.replace("127.0.0.1", "localhost");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), // Chromium's sandbox refuses root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
  ],
});

const offences = [];

/** A browser with an authenticator, on the page. */
async function open() {
  const context = await browser.newContext();
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => offences.push(`page error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") offences.push(`console: ${message.text()}`);
  });
  const device = await context.newCDPSession(page);
  await device.send("WebAuthn.enable");
  const { authenticatorId } = await device.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: false,
    },
  });
  const send = (method, parameters) =>
    device.send(`WebAuthn.${method}`, { authenticatorId, ...parameters });
  await page.goto(url);
  const bar = page.getByRole("banner");
  const panel = page.getByRole("dialog", { name: "Two-step sign-in" });
  const confirmation = page.getByRole("dialog", { name: "Confirm that it is you" });
  const pressIn = (place) => (name) => place.getByRole("button", { name, exact: true }).click();
  return {
    page,
    bar,
    panel,
    confirmation,
    press: pressIn(bar),
    pressInPanel: pressIn(panel),
    send,
    /** Whether the person touches the authenticator in requests that begin from now on. */
    touches: (enabled) => send("setAutomaticPresenceSimulation", { enabled }),
    credentials: async () => (await send("getCredentials")).credentials,
    isSignedIn: () => bar.getByRole("status").filter({ hasText: READER }).waitFor(),
    isSignedOut: () => bar.getByLabel("Email").waitFor(),
    async signIn() {
      await bar.getByLabel("Email").fill(READER);
      await bar.getByLabel("Password").fill(PASSWORD);
      await page.keyboard.press("Enter");
    },
  };
}

/** Sends an operation as another client than the browser. */
async function ask(query, accessToken) {
  const response = await fetch(address, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(accessToken && { authorization: `Bearer ${accessToken}` }),
    },
    body: JSON.stringify({ query }),
  });
  return (await response.json()).data;
}

const TOKENS = "... on SignedIn { tokens { accessToken } }";

/** Registers READER, with an address that is verified by the emailed link. */
async function registerReader() {
  const { register } = await ask(
    `mutation { register(input: { email: "${READER}", password: "${PASSWORD}" }) { ${TOKENS} } }`,
  );
  const { accessToken } = register.tokens;
  await ask(
    `mutation { requestEmailVerification(input: { email: "${READER}" }) { __typename } }`,
    accessToken,
  );
  let token;
  while (!token) {
    const emails = await readFile(PORTICO_EMAILS, "utf8");
    token = emails.match(new RegExp(`To: ${READER}[^]*?#token=(pot_[\\w-]+)\\s`))?.[1];
    await sleep(100);
  }
  const { verifyEmail } = await ask(
    `mutation { verifyEmail(input: { token: "${token}" }) { __typename ${TOKENS} } }`,
    accessToken,
  );
  assert.equal(verifyEmail.__typename, "SignedIn");
}

await registerReader();
const phone = await open();
let laptop;

const checks = {
  "at an address the page links to where passkeys work": async () => {
    const page = await browser.newPage();
    await page.goto(address);
    const link = page.getByRole("link", { name: url });
    assert.equal(await link.getAttribute("href"), url);
    assert.equal(await page.getByRole("button", { name: "Sign in with a passkey" }).count(), 0);
    await page.close();
  },
  "a passkey is registered, with recovery codes": async () => {
    laptop = await open();
    for (const { signIn, isSignedIn } of [laptop, phone]) {
      await signIn();
      await isSignedIn();
    }
    await phone.touches(true);
    await phone.press("Two-step sign-in");
    await phone.pressInPanel("Add a passkey");
    await phone.panel.getByRole("button", { name: "I have kept them" }).waitFor();
    assert.equal(await phone.panel.getByRole("code").count(), 10);
    await phone.pressInPanel("I have kept them");
    await phone.panel.getByText("on one device only").waitFor();
    await phone.panel.getByText("Recovery codes left: 10").waitFor();
    assert.equal((await phone.credentials()).length, 1);
  },
  "an authenticator that has a passkey says so": async () => {
    await phone.pressInPanel("Add a passkey");
    await phone.panel
      .getByRole("status")
      .filter({ hasText: "This device has a passkey for this account already." })
      .waitFor();
    assert.equal((await phone.credentials()).length, 1);
  },
  "a passkey is renamed": async () => {
    await phone.pressInPanel("Rename");
    await phone.panel.getByRole("textbox", { name: "Name" }).fill(" ");
    await phone.pressInPanel("Rename");
    await phone.panel.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
    await phone.panel.getByRole("textbox", { name: "Name" }).fill("My phone");
    await phone.pressInPanel("Rename");
    await phone.panel.getByText("Passkey “My phone”").waitFor();
    await phone.pressInPanel("Close");
  },
  "what a stale session is refused is done after a step-up with a passkey": async () => {
    const [synced] = await phone.credentials();
    await laptop.send("addCredential", { credential: synced });
    await laptop.touches(true);
    await laptop.press("Two-step sign-in");
    await laptop.pressInPanel("Renew recovery codes");
    await laptop.pressInPanel("Make new codes");
    await laptop.send("setUserVerified", { isUserVerified: false });
    await laptop.confirmation.getByRole("button", { name: "Use a passkey" }).click();
    await laptop.confirmation.getByRole("alert").filter({ hasText: "No passkey was used." }).waitFor();
    await laptop.send("setUserVerified", { isUserVerified: true });
    await laptop.confirmation.getByRole("button", { name: "Use a passkey" }).click();
    await laptop.confirmation.waitFor({ state: "detached" });
    await laptop.pressInPanel("I have kept them");
    // A synced passkey does not count its signatures; the virtual authenticator always does.
    const [used] = await laptop.credentials();
    await phone.send("removeCredential", { credentialId: used.credentialId });
    await phone.send("addCredential", { credential: used });
    await laptop.page.context().close();
  },
  "a passkey signs in with the button, and stays so over a reload": async () => {
    await phone.touches(false); // otherwise autofill signs in at once
    await phone.press("Sign out");
    await phone.isSignedOut();
    await phone.bar.getByRole("button", { name: "Sign in with a passkey" }).waitFor();
    await phone.touches(true);
    await phone.send("setUserVerified", { isUserVerified: false });
    await phone.press("Sign in with a passkey");
    await phone.bar.getByRole("alert").filter({ hasText: "No passkey was used." }).waitFor();
    await phone.send("setUserVerified", { isUserVerified: true });
    await phone.press("Sign in with a passkey");
    await phone.isSignedIn();
    await phone.page.reload();
    await phone.isSignedIn();
  },
  "a passkey signs in with autofill": async () => {
    const isAnswer = (response) =>
      response.request().postData()?.includes("signInWithPasskey");
    await Promise.all([phone.page.waitForResponse(isAnswer), phone.press("Sign out")]);
    await phone.isSignedIn();
    await phone.touches(false);
  },
  "a passkey is the answer to a challenge, and a recovery code is another": async () => {
    await phone.touches(false);
    await phone.press("Sign out");
    await phone.signIn();
    await phone.bar.getByRole("button", { name: "Use a recovery code" }).click();
    await phone.bar.getByLabel("Recovery code").waitFor();
    await phone.bar.getByRole("button", { name: "Use a passkey" }).click();
    await phone.touches(true);
    await phone.bar.getByRole("form", { name: "Second step" }).waitFor();
    await phone.press("Use a passkey");
    await phone.isSignedIn();
  },
  "a passkey is removed, also from the authenticator": async () => {
    await phone.press("Two-step sign-in");
    await phone.pressInPanel("Remove");
    await phone.panel.getByText("It no longer signs in.").waitFor();
    await phone.pressInPanel("Remove the passkey");
    await phone.panel.getByText("A passkey also signs in without the password.").waitFor();
    for (let tries = 0; tries < 100 && (await phone.credentials()).length; tries += 1) {
      await sleep(50);
    }
    assert.deepEqual(await phone.credentials(), []);
  },
};

let passed = 0;
for (const [name, check] of Object.entries(checks)) {
  let failure;
  try {
    await check();
  } catch (error) {
    failure = error.message;
  }
  failure = offences[0] ?? failure; // what the page did wrong is likelier the cause
  if (failure) {
    console.error(`FAILED: ${name}: ${failure}`);
    console.log(`${passed} passed, 1 failed`);
    await browser.close();
    process.exit(1);
  }
  passed += 1;
  console.log(`ok: ${name}`);
}
await browser.close();
console.log(`${passed} passed, 0 failed`);
