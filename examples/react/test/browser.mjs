// Drives the whole app in Chromium as people do, against a Portico of its own, and reads the emails that Portico prints.
// `--screenshots FOLDER` keeps the pictures of the README there.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { authenticator, passkeyDevice, scan } from "./authenticator.mjs";
import { startApp, startPortico } from "./servers.mjs";

const { values: options } = parseArgs({ options: { screenshots: { type: "string" } } });
const scratch = await mkdtemp(join(tmpdir(), "portico-react-"));
const screenshots = options.screenshots ?? scratch;

const ADMIN = { email: "admin@example.com", password: "correct horse battery staple" };
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 800 };

const app = await startApp(join(scratch, "app"));
const portico = await startPortico(join(scratch, "data"), app.url, ADMIN.password);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), // Chromium's sandbox refuses root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1", // no network but these two
  ],
});
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// What no page may do: break the content security policy, or fail in its console.
const offences = [];
const EXPECTED = ["ERR_INTERNET_DISCONNECTED", "Only administrators may do this."];

/** A browser of its own: its cookies are not those of the others. */
async function device() {
  const context = await browser.newContext({ baseURL: app.url, viewport: DESKTOP, locale: "en-GB" });
  context.setDefaultTimeout(10_000);
  context.on("weberror", (error) => offences.push(`page error: ${error.error().message}`));
  context.on("console", (message) => {
    const expected = EXPECTED.some((text) => message.text().includes(text));
    if (message.type() === "error" && !expected) offences.push(`console: ${message.text()}`);
  });
  return new Tab(await context.newPage());
}

/** A tab, and what a person does in it. */
class Tab {
  constructor(page) {
    this.page = page;
    this.dialog = page.getByRole("dialog", { name: "Confirm that it is you" });
  }

  async anotherTab(path) {
    const tab = new Tab(await this.page.context().newPage());
    await tab.page.goto(path);
    return tab;
  }

  button = (name) => this.page.getByRole("button", { name, exact: true });
  question = (name) => this.page.getByRole("dialog", { name, exact: true });
  press = (name) => this.button(name).click();
  follow = (name) => this.page.getByRole("link", { name, exact: true }).click();
  open = (path) => this.page.goto(path);
  see = (text) => this.page.getByText(text).first().waitFor();
  at = (title) => this.page.getByRole("heading", { level: 1, name: title, exact: true }).waitFor();
  told = (text) => this.page.getByRole("status").filter({ hasText: text }).waitFor();
  warned = (text) => this.page.getByRole("alert").filter({ hasText: text }).waitFor();
  field = (label) => this.page.getByLabel(label, { exact: true });

  async fill(fields) {
    for (const [label, value] of Object.entries(fields)) await this.field(label).fill(value);
  }

  async signIn({ email, password }) {
    await this.fill({ Email: email, Password: password });
    await this.press("Sign in");
  }

  /** Presses a button that asks first. */
  async pressAndConfirm(name, button = name) {
    await this.press(name);
    await this.question(`${name}?`).getByRole("button", { name: button }).click();
  }

  /** Presses a button, until the answer to an operation that follows from it is here. */
  async pressUntil(name, operation) {
    const isAnswer = (response) => response.request().postData()?.includes(operation);
    await Promise.all([this.page.waitForResponse(isAnswer), this.press(name)]);
  }

  /** Loses the next answer to this operation on its way. What it asked for is done. */
  async loseAnswer(operation) {
    let isLost = false;
    await this.page.route("**/graphql", async (route) => {
      if (isLost || !route.request().postData()?.includes(operation)) return route.fallback();
      isLost = true;
      await route.fetch();
      return route.abort("internetdisconnected");
    });
  }

  /** Whether the browser would ask before it leaves the page. */
  asksBeforeUnload = () => this.page.evaluate(() => !dispatchEvent(new Event("beforeunload", { cancelable: true })));

  hasFocus = (label) => this.field(label).evaluate((element) => element === document.activeElement);

  async enterCode(code, name = "Continue") {
    await this.fill({ Code: code });
    await this.press(name);
  }

  /** Enrolls an authenticator app on the page for it. */
  async enroll() {
    await this.press("Set up");
    return this.scanApp();
  }

  async scanApp() {
    const text = await scan(this.page.getByRole("img", { name: "QR code for an authenticator app" }));
    const key = (await this.page.locator(".secret").innerText()).replaceAll(/\s/g, "");
    assert.equal(new URL(text).searchParams.get("secret"), key);
    return authenticator(text);
  }

  rows = () => this.page.locator("main .list > li p:first-child a").allTextContents();

  async judge(rules) {
    const violations = await this.page.evaluate(async (rules) => {
      const { violations } = await globalThis.axe.run(rules);
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(", ")}`);
    }, rules);
    assert.deepEqual(violations, [], this.page.url());
  }

  /** Looks at a page as it is now: for everybody, in light and dark, and on a phone. */
  async inspect() {
    const loaded = await this.page.evaluate(() => "axe" in globalThis);
    if (!loaded) await this.page.evaluate(axe);
    await this.page.emulateMedia({ colorScheme: "dark" });
    await this.judge({ runOnly: ["color-contrast"] });
    await this.page.emulateMedia({ colorScheme: "light" });
    await this.judge({});
    await this.page.setViewportSize(PHONE);
    const width = await this.page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(width, PHONE.width, `${this.page.url()} scrolls sideways on a phone`);
    await this.page.setViewportSize(DESKTOP);
  }
}

const people = `Ada Lovelace, Alan Turing, Annie Easley, Barbara Liskov, Donald Knuth, Dorothy Vaughan, Edsger Dijkstra,
  Evelyn Boyd, Frances Allen, Grace Hopper, Hedy Lamarr, Jean Bartik, Joan Clarke, Karen Jones, Kathleen Booth, Mary Wilkes,
  Niklaus Wirth, Radia Perlman, Sister Kenneth, Sophie Wilson, Tony Hoare, Vint Cerf, Yukihiro Matsumoto`
  .split(/,\s+/)
  .map((displayName) => ({ displayName, email: `${displayName.split(" ")[0].toLowerCase()}@example.com` }));
const lin = { email: "lin@example.com", password: "difference engine 1" };
const ida = { email: "ida@example.com", password: "difference engine 8" };
const mae = { email: "mae@example.com", password: "difference engine 10" };
const CONFIRMED = "ConfirmTotpEnrollment"; // an operation of the app
const AGE = "UPDATE sessions SET created_at = created_at - interval '11 minutes', proved_at = proved_at - interval '11 minutes'";
const laptop = await device();
const tablet = await device();
const watch = await device();
const phone = await device();
const office = await device();
const desk = await device();
let secondTab;

const checks = {
  "guests are asked to sign in, whatever page they open": async () => {
    const response = await laptop.open("/sessions");
    assert.match(response.headers()["content-security-policy"], /^default-src 'none'; script-src 'self';/);
    await laptop.at("Sign in");
    await laptop.inspect();
    await laptop.follow("Request another verification email");
    await laptop.at("Verify your email");
    await laptop.inspect();
    await laptop.open("/no-such-page");
    await laptop.at("This page does not exist");
    await laptop.inspect();
  },
  "a password that is refused is explained at its field": async () => {
    await laptop.open("/register");
    await laptop.see("At least 8 characters");
    await laptop.inspect();
    await laptop.fill({ Name: "Lin", Email: lin.email, Password: "12345678" });
    await laptop.press("Create account");
    await laptop.warned("Some fields are invalid.");
    const field = laptop.field("Password");
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    assert.ok(await field.evaluate((element) => element === document.activeElement));
    await laptop.inspect();
  },
  "a registration is confirmed with the emailed link": async () => {
    await laptop.fill({ Password: lin.password });
    await laptop.press("Create account");
    await laptop.told("We have sent you an email.");
    await laptop.open(await portico.linkIn("Confirm your registration", lin.email));
    await laptop.at("Verify your email");
    assert.equal(laptop.page.url(), `${app.url}/verify-email`);
    await laptop.inspect();
    await laptop.press("Verify");
    await laptop.told(`${lin.email} is verified, and you are signed in.`);
    await laptop.follow("Continue");
    await laptop.at("Profile");
    await laptop.inspect();
  },
  "a reload stays signed in, and so does another tab": async () => {
    await laptop.page.reload();
    await laptop.at("Profile");
    secondTab = await laptop.anotherTab("/sessions");
    await secondTab.at("Sessions");
    await secondTab.see("Where you are signed in");
    await laptop.page.bringToFront(); // Chromium slows down what is behind another tab
  },
  "no script can read what keeps people signed in": async () => {
    const readable = await laptop.page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length]);
    assert.deepEqual(readable, ["", 0, 0]);
  },
  "a changed name is seen at once wherever it is shown": async () => {
    await laptop.fill({ Name: "Lin of Lund" });
    await laptop.press("Save");
    await laptop.told("Saved.");
    await laptop.page.getByRole("banner").getByText("Lin of Lund").waitFor();
  },
  "the password is changed, and the session continues": async () => {
    await laptop.follow("Password");
    await laptop.see("At least 8 characters");
    await laptop.inspect();
    await laptop.fill({ "Current password": "not this one", "New password": "difference engine 2" });
    await laptop.press("Change password");
    await laptop.warned("password");
    await laptop.fill({ "Current password": lin.password });
    await laptop.press("Change password");
    await laptop.told("Your password is changed.");
    lin.password = "difference engine 2";
    await laptop.page.reload();
    await laptop.at("Password");
  },
  "another device is listed and can be signed out": async () => {
    await phone.open("/");
    await phone.signIn(lin);
    await phone.at("Profile");
    await laptop.follow("Sessions");
    await laptop.at("Sessions");
    await laptop.button("Sign out Chrome on Linux").waitFor();
    assert.equal(await laptop.page.getByText("this device", { exact: true }).count(), 1);
    await laptop.inspect();
    await laptop.press("Sign out Chrome on Linux");
    await laptop.button("Sign out Chrome on Linux").waitFor({ state: "detached" });
    await phone.follow("Sessions");
    await phone.at("Sign in");
    await phone.see("ended");
  },
  "an address changes with the link that goes to the new one": async () => {
    await laptop.follow("Email");
    await laptop.at("Email");
    await laptop.inspect();
    await laptop.fill({ "New email": "lin@example.org", Password: lin.password });
    await laptop.press("Send the link");
    await laptop.told("link");
    lin.email = "lin@example.org";
    await laptop.open(await portico.linkIn("Confirm your new email address", lin.email));
    await laptop.at("Confirm the change");
    await laptop.inspect();
    await laptop.press("Confirm");
    await laptop.told(`The address of the account is ${lin.email} now.`);
    await laptop.follow("Continue");
    await laptop.see(lin.email);
  },
  "signing out is seen in the other tab": async () => {
    await laptop.press("Sign out");
    await laptop.at("Sign in");
    await secondTab.at("Sign in");
  },
  "a forgotten password is replaced with the emailed link": async () => {
    await laptop.follow("Forgot your password?");
    await laptop.at("Forgot your password?");
    await laptop.inspect();
    await laptop.press("Send the email");
    await laptop.warned("Fill in what is missing.");
    await laptop.fill({ Email: lin.email });
    await laptop.press("Send the email");
    await laptop.told("link");
    await laptop.open(await portico.linkIn("Choose a new password", lin.email));
    await laptop.at("Choose a new password");
    await laptop.see("At least 8 characters");
    await laptop.inspect();
    await laptop.fill({ "New password": "short" });
    await laptop.press("Set password");
    await laptop.warned("Some fields are invalid.");
    await laptop.fill({ "New password": "analytical engine 3" });
    await laptop.press("Set password");
    await laptop.told("Your password is changed.");
    lin.password = "analytical engine 3";
    await laptop.follow("Sign in");
    await laptop.at("Sign in");
    await laptop.signIn({ ...lin, password: "difference engine 2" });
    await laptop.warned("");
    await laptop.signIn(lin);
    await laptop.at("Profile");
  },
  "a used link says so, and where to get another one": async () => {
    await phone.open(await portico.linkIn("Choose a new password", lin.email));
    await phone.see("At least 8 characters");
    await phone.fill({ "New password": "another engine 4" });
    await phone.press("Set password");
    await phone.warned("This link is invalid or has expired.");
    await phone.follow("Request another email");
    await phone.at("Forgot your password?");
  },
  "signing out everywhere ends the sessions of all devices": async () => {
    await phone.open("/sign-in");
    await phone.signIn(lin);
    await phone.at("Profile");
    await laptop.follow("Sessions");
    await laptop.press("Sign out everywhere");
    await laptop.at("Sign in");
    await phone.follow("Password");
    await phone.page.reload();
    await phone.at("Sign in");
  },
  "administrators page through users in both directions": async () => {
    await portico.createUsers(ADMIN, people);
    await office.open("/users?order=email");
    await office.signIn(ADMIN);
    await office.at("Users");
    await office.told("25 users");
    const emails = [ADMIN, lin, ...people].map(({ email }) => email).sort();
    const pages = [await office.rows()];
    await office.inspect();
    for (const first of [10, 20].map((number) => emails[number])) {
      await office.follow("Next page");
      await office.see(first);
      pages.push(await office.rows());
    }
    assert.deepEqual(pages.flat(), emails);
    assert.equal(await office.page.getByRole("link", { name: "Next page" }).count(), 0);
    await office.follow("Previous page");
    await office.see(pages[1][0]);
    assert.deepEqual(await office.rows(), pages[1]);
    await office.page.reload();
    await office.see(pages[1][0]);
    assert.deepEqual(await office.rows(), pages[1]);
  },
  "administrators search and order users": async () => {
    await office.fill({ Search: "wil" });
    await office.page.getByLabel("Order").selectOption("Newest first");
    await office.press("Search");
    await office.told("2 users");
    assert.deepEqual(await office.rows(), ["sophie@example.com", "mary@example.com"]);
    await office.page.goBack();
    await office.told("25 users");
    assert.equal(await office.field("Search").inputValue(), "");
  },
  "a suspension ends the user's sessions, and says why to administrators": async () => {
    await phone.signIn(lin);
    await phone.at("Password");
    await office.fill({ Search: "lin@" });
    await office.press("Search");
    await office.told("1 user");
    await office.follow(lin.email);
    await office.at("Lin of Lund");
    await office.press("Suspend");
    await office.warned("Some fields are invalid.");
    await office.inspect();
    await office.fill({ Reason: "Sent advertisements.", Until: "2099-01-01T00:00" });
    await office.press("Suspend");
    await office.see("Sent advertisements.");
    await office.see("1 Jan 2099");
    await office.inspect();
    await phone.follow("Sessions");
    await phone.at("Sign in");
    await phone.see("suspended");
    await office.open("/users?order=oldest");
    await office.see("suspended");
    await office.page.screenshot({ path: join(screenshots, "users.png") });
    await office.page.goBack();
  },
  "a reinstated user can sign in": async () => {
    await office.press("Reinstate");
    await office.button("Suspend").waitFor();
    await phone.signIn(lin);
    await phone.at("Password");
  },
  "members have no page of users": async () => {
    assert.equal(await phone.page.getByRole("link", { name: "Users" }).count(), 0);
    await phone.open("/users");
    await phone.warned("Only administrators may do this.");
    await phone.inspect();
  },
  "a server that cannot be reached is told, and what was typed stays": async () => {
    await phone.open("/");
    await phone.at("Profile");
    await phone.page.context().setOffline(true);
    await phone.fill({ Name: "Lin, offline" });
    await phone.press("Save");
    await phone.warned("The server could not be reached.");
    await phone.page.context().setOffline(false);
    await phone.press("Save");
    await phone.told("Saved.");
  },
  "a page that is opened while the server cannot be reached says so, and waits": async () => {
    await phone.page.route("**/graphql", (route) => route.abort("internetdisconnected"));
    await phone.open("/");
    await phone.told("Connecting to the server");
    await phone.inspect();
    await phone.page.unroute("**/graphql");
    await phone.at("Profile");
  },
  "a sign-out that the server was not told of says so": async () => {
    await phone.page.context().setOffline(true);
    await phone.press("Sign out");
    await phone.at("Sign in");
    await phone.told("the server could not be reached: a reload signs you in again.");
    await phone.inspect();
    await phone.page.context().setOffline(false);
    await phone.page.reload();
    await phone.at("Profile");
    await phone.press("Sign out");
    await phone.at("Sign in");
    await phone.signIn(lin);
    await phone.at("Profile");
  },
  "another user who signs in in another tab replaces the first one": async () => {
    const other = await phone.anotherTab("/");
    await other.press("Sign out");
    await other.signIn(ADMIN);
    await other.see(ADMIN.email);
    await phone.see(ADMIN.email);
    assert.equal(await phone.page.getByText(lin.email).count(), 0);
  },
  "a deleted account is gone": async () => {
    await laptop.open("/sign-in");
    await laptop.signIn(lin);
    await laptop.follow("Profile");
    await laptop.follow("Delete account");
    await laptop.at("Delete account");
    await laptop.inspect();
    await laptop.fill({ Password: lin.password });
    await laptop.press("Delete account");
    await laptop.at("Sign in");
    await laptop.told("deleted");
    await laptop.signIn(lin);
    await laptop.warned("");
  },
  "without required verification, a registration signs in at once, and the address is verified later": async () => {
    await portico.restart({ EMAIL_VERIFICATION: "off" });
    const mia = "mia@example.com";
    await laptop.follow("Create an account");
    await laptop.at("Create an account");
    await laptop.fill({ Email: mia, Password: "difference engine 7" });
    await laptop.press("Create account");
    await laptop.at("Profile");
    await laptop.follow("Verify");
    await laptop.at("Verify your email");
    await laptop.fill({ Email: mia });
    await laptop.press("Send the email");
    await laptop.told("link");
    await laptop.open(await portico.linkIn("Confirm your email address", mia));
    await laptop.press("Verify");
    await laptop.told(`${mia} is verified`);
    await laptop.follow("Continue");
    await laptop.see("verified");
  },
  "an authenticator app needs a verified address": async () => {
    await laptop.press("Sign out");
    await laptop.follow("Create an account");
    await laptop.fill({ Name: "Ida", Email: ida.email, Password: ida.password });
    await laptop.press("Create account");
    await laptop.at("Profile");
    await laptop.follow("Security");
    await laptop.at("Security");
    await laptop.press("Set up");
    await laptop.warned("verif");
    await laptop.inspect();
    await laptop.press("Send the link");
    await laptop.told("link");
    const tab = await laptop.anotherTab(await portico.linkIn("Confirm your email address", ida.email));
    await tab.press("Verify");
    await tab.told(`${ida.email} is verified`);
    await tab.page.close();
  },
  "an enrollment that is cancelled, or has expired, starts again": async () => {
    await laptop.enroll();
    await laptop.press("Cancel");
    await laptop.see("Set up an authenticator app");
    const code = await laptop.enroll();
    await portico.sql("UPDATE totp_enrollments SET expires_at = expires_at - interval '1 hour'");
    await laptop.enterCode(await code(), "Confirm");
    await laptop.told("This took too long, or was completed elsewhere. Start again.");
    await laptop.see("Set up an authenticator app");
    await laptop.inspect();
  },
  "it is enrolled with a QR code or the same key, and a code": async () => {
    await tablet.open("/");
    await tablet.signIn(ida);
    await tablet.at("Profile");
    ida.code = await laptop.enroll();
    const card = laptop.page.getByRole("region", { name: "Scan this with your authenticator app" });
    assert.ok(await card.evaluate((element) => element === document.activeElement));
    await laptop.inspect();
    await laptop.page.screenshot({ path: join(screenshots, "enrollment.png") });
    await laptop.press("Confirm");
    await laptop.warned("Fill in what is missing.");
    assert.ok(await laptop.hasFocus("Code"));
    await laptop.inspect();
    await laptop.enterCode("12345", "Confirm");
    await laptop.warned("This code is wrong");
    assert.equal(await laptop.page.getByText("Start again.").count(), 0);
    await laptop.enterCode(await ida.code(), "Confirm");
  },
  "recovery codes are shown once, to copy and to download": async () => {
    await laptop.see("Your recovery codes");
    ida.recoveryCodes = await laptop.page.locator(".codes li").allInnerTexts();
    assert.equal(new Set(ida.recoveryCodes).size, 10);
    await laptop.inspect();
    await laptop.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await laptop.press("Copy");
    await laptop.told("Copied.");
    assert.equal(await laptop.page.evaluate(() => navigator.clipboard.readText()), ida.recoveryCodes.join("\n"));
    const [download] = await Promise.all([laptop.page.waitForEvent("download"), laptop.press("Download")]);
    assert.ok(download.url().startsWith("blob:"));
    assert.equal(await readFile(await download.path(), "utf8"), ida.recoveryCodes.join("\n"));
    await laptop.page.evaluate(() => (navigator.clipboard.writeText = () => Promise.reject(new Error("Not allowed"))));
    await laptop.press("Copy");
    await laptop.told("Download them instead.");
    await laptop.page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
    await laptop.press("Copy");
    await laptop.told("Download them instead.");
  },
  "a page with recovery codes is not left by accident": async () => {
    await laptop.follow("Profile");
    await laptop.question("Leave without the codes?").waitFor();
    await laptop.inspect();
    await laptop.page.keyboard.press("Escape");
    assert.ok(await laptop.asksBeforeUnload());
    await laptop.see(ida.recoveryCodes[0]);
    await laptop.page.context().setOffline(true);
    await laptop.press("I have stored them");
    await laptop.told("The server could not be reached.");
    await laptop.see(ida.recoveryCodes[0]);
    await laptop.page.context().setOffline(false);
    await laptop.press("I have stored them");
    await laptop.see("Codes that are left: 10.");
    assert.equal(await laptop.page.getByText(ida.recoveryCodes[0]).count(), 0);
    assert.ok(!(await laptop.asksBeforeUnload()));
    await laptop.inspect();
    await laptop.page.reload(); // with the clipboard of the browser
    await laptop.at("Security");
  },
  "signing in then asks for a code, and leads to the page that was asked for": async () => {
    await watch.open("/sessions");
    await watch.signIn(ida);
    await watch.at("Two-step sign-in");
    assert.ok(await watch.hasFocus("Code"));
    assert.equal(await watch.field("Code").getAttribute("autocomplete"), "one-time-code");
    assert.equal(await watch.field("Code").getAttribute("inputmode"), "numeric");
    await watch.inspect();
    await watch.page.screenshot({ path: join(screenshots, "challenge.png") });
    await watch.press("Continue");
    await watch.warned("Fill in what is missing.");
    await watch.enterCode("12345");
    await watch.warned("This code is wrong");
    await watch.press("Start again");
    await watch.at("Sign in");
    await watch.signIn(ida);
    await watch.enterCode(await ida.code());
    await watch.at("Sessions");
    await watch.see("Signed in with password and authenticator app");
    await watch.press("Sign out");
    await watch.at("Sign in");
  },
  "a recovery code does too, and how many are left is told": async () => {
    await watch.signIn(ida);
    await watch.press("Use a recovery code");
    assert.ok(await watch.hasFocus("Recovery code"));
    assert.equal(await watch.field("Recovery code").getAttribute("autocapitalize"), "none");
    await watch.inspect();
    await watch.fill({ "Recovery code": ida.recoveryCodes[0].toLowerCase() });
    await watch.press("Continue");
    await watch.told("Codes that are left: 9.");
    await watch.inspect();
    await watch.page.reload();
    await watch.at("Sessions");
    assert.equal(await watch.page.getByText("You signed in with a recovery code.").count(), 0);
    await watch.press("Sign out");
    await watch.signIn(ida);
    await watch.press("Use a recovery code");
    await watch.fill({ "Recovery code": ida.recoveryCodes[1] });
    await watch.press("Continue");
    await watch.told("Codes that are left: 8.");
    await watch.follow("Replace a lost device, or make new codes");
    await watch.at("Security");
    assert.equal(await watch.page.getByText("You signed in with a recovery code.").count(), 0);
  },
  "who has few recovery codes left is warned, and makes new ones": async () => {
    await portico.sql("UPDATE recovery_codes SET hashes = hashes[1:2]");
    await watch.page.reload();
    await watch.see("Codes that are left: 2. Make new ones");
    await watch.inspect();
    await watch.press("Make new codes");
    await watch.see("also those that you have printed");
    await watch.inspect();
    await watch.question("Make new codes?").getByRole("button", { name: "Cancel" }).click();
    await watch.see("Codes that are left: 2.");
    await watch.pressAndConfirm("Make new codes");
    await watch.see("Your recovery codes");
    await watch.follow("Profile");
    await watch.question("Leave without the codes?").getByRole("button", { name: "Leave" }).click();
    await watch.at("Profile");
    await watch.follow("Security");
    await watch.see("Codes that are left: 10.");
  },
  "a session from before asks for a code, and the request then continues by itself": async () => {
    await tablet.follow("Email");
    await tablet.fill({ "New email": "ida@example.org", Password: ida.password });
    await tablet.press("Send the link");
    await tablet.dialog.waitFor();
    assert.ok(await tablet.hasFocus("Code"));
    await tablet.inspect();
    await tablet.page.keyboard.press("Escape");
    await tablet.warned("Nothing was done");
    assert.equal(await tablet.dialog.count(), 0);
    assert.ok(await tablet.button("Send the link").evaluate((element) => element === document.activeElement));
    await tablet.press("Send the link");
    await tablet.dialog.getByText("Lost your phone? Sign out, and sign in with a recovery code.").waitFor();
    await tablet.press("Confirm");
    await tablet.warned("Fill in what is missing.");
    await tablet.enterCode("12345", "Confirm");
    await tablet.warned("This code is wrong");
    await tablet.enterCode(await ida.code(), "Confirm");
    await tablet.told("link");
    assert.equal(await tablet.dialog.count(), 0);
  },
  "who has lost the phone signs out in the dialog": async () => {
    await portico.sql(AGE);
    await tablet.page.reload();
    await tablet.fill({ "New email": "ida@example.org", Password: ida.password });
    await tablet.press("Send the link");
    await tablet.dialog.getByRole("button", { name: "Sign out" }).click();
    await tablet.at("Sign in");
  },
  "a sign-in that began before a change of the password starts again": async () => {
    await watch.press("Sign out");
    await watch.signIn(ida);
    await watch.at("Two-step sign-in");
    await portico.sql(AGE);
    await laptop.follow("Password");
    await laptop.fill({ "Current password": ida.password, "New password": "difference engine 9" });
    await laptop.press("Change password");
    await laptop.enterCode(await ida.code(), "Confirm");
    await laptop.told("Your password is changed.");
    ida.password = "difference engine 9";
    await watch.enterCode("123456");
    await watch.at("Sign in");
    await watch.told("Start again.");
  },
  "the link of a verification email is followed by the second step too": async () => {
    await portico.sql(`UPDATE users SET email_verified = false WHERE email = '${ida.email}'`);
    await laptop.open("/request-verification");
    await laptop.fill({ Email: ida.email });
    const before = await portico.linkIn("Confirm your email address", ida.email);
    await laptop.press("Send the email");
    await laptop.told("link");
    await laptop.open(await portico.linkIn("Confirm your email address", ida.email, before));
    await laptop.press("Verify");
    await laptop.at("Two-step sign-in");
    await laptop.told("Your address is verified.");
    await laptop.inspect();
    await laptop.enterCode(await ida.code());
    await laptop.at("Profile");
  },
  "without an authenticator app, the password is asked for": async () => {
    await laptop.follow("Security");
    await laptop.press("Remove authenticator app");
    await laptop.question("Remove authenticator app?").getByRole("button", { name: "Remove" }).click();
    await laptop.told("The authenticator app is removed.");
    await portico.sql(AGE);
    await laptop.press("Set up");
    await laptop.dialog.waitFor();
    assert.ok(await laptop.hasFocus("Your password"));
    assert.equal(await laptop.dialog.locator("input[autocomplete=username]").inputValue(), ida.email);
    await laptop.inspect();
    await laptop.fill({ "Your password": "not this one" });
    await laptop.press("Confirm");
    await laptop.warned("password");
    await laptop.fill({ "Your password": ida.password });
    await laptop.press("Confirm");
    await laptop.see("Scan this with your authenticator app");
  },
  "who has neither signs in again": async () => {
    await portico.sql(`${AGE}; UPDATE users SET password_hash = NULL WHERE email = '${ida.email}'`);
    await laptop.page.reload();
    await laptop.press("Set up");
    await laptop.see("Sign in again to continue.");
    await laptop.inspect();
    await laptop.press("Cancel");
    await laptop.warned("Nothing was done");
    await laptop.press("Set up");
    await laptop.press("Sign in again");
    await laptop.at("Sign in");
  },
  "a passkey needs a verified address": async () => {
    await portico.restart({ EMAIL_VERIFICATION: "off" });
    mae.passkeys = await passkeyDevice(desk.page);
    await desk.open("/register");
    await desk.fill({ Name: "Mae", Email: mae.email, Password: mae.password });
    await desk.press("Create account");
    await desk.at("Profile");
    await desk.follow("Security");
    await desk.press("Add a passkey");
    await desk.warned("Verify your email address first");
    await desk.inspect();
    await desk.press("Send the link");
    await desk.told("link");
    const tab = await desk.anotherTab(await portico.linkIn("Confirm your email address", mae.email));
    await tab.press("Verify");
    await tab.told(`${mae.email} is verified`);
    await tab.page.close();
  },
  "a person who closes the browser's dialog is told that nothing was done": async () => {
    await mae.passkeys.verifies(false);
    await desk.press("Add a passkey");
    await desk.warned("No passkey was used.");
    await mae.passkeys.verifies(true);
  },
  "the first passkey comes with recovery codes": async () => {
    await desk.press("Add a passkey");
    await desk.see("Your recovery codes");
    mae.recoveryCodes = await desk.page.locator(".codes li").allInnerTexts();
    assert.equal(new Set(mae.recoveryCodes).size, 10);
    await desk.press("I have stored them");
    await desk.see("on this device only");
    await desk.see("Codes that are left: 10.");
    assert.equal((await mae.passkeys.stored()).length, 1);
    await desk.inspect();
  },
  "a device is registered once": async () => {
    await desk.press("Add a passkey");
    await desk.warned("already");
    assert.equal((await mae.passkeys.stored()).length, 1);
  },
  "a passkey is renamed in its place": async () => {
    await desk.press("Rename Chrome on Linux");
    assert.ok(await desk.hasFocus("Name of the passkey"));
    await desk.inspect();
    await desk.fill({ "Name of the passkey": "" });
    await desk.press("Save");
    await desk.warned("Some fields are invalid.");
    await desk.press("Cancel");
    await desk.press("Rename Chrome on Linux");
    await desk.fill({ "Name of the passkey": "The desk in Lund" });
    await desk.press("Save");
    await desk.told("The passkey is renamed.");
    await desk.see("The desk in Lund");
    assert.ok(await desk.button("Rename The desk in Lund").evaluate((element) => element === document.activeElement));
    await desk.page.reload();
    await desk.see("The desk in Lund");
    await desk.page.screenshot({ path: join(screenshots, "passkeys.png") });
  },
  "a passkey signs in by its button, and leads to the page that was asked for": async () => {
    await mae.passkeys.offers(false); // or autofill would be first
    await desk.press("Sign out");
    await desk.at("Sign in");
    await desk.button("Sign in with a passkey").waitFor();
    assert.equal(await desk.field("Email").getAttribute("autocomplete"), "username webauthn");
    await desk.inspect();
    await desk.open("/sessions");
    await desk.button("Sign in with a passkey").waitFor();
    await mae.passkeys.offers(true);
    await desk.press("Sign in with a passkey");
    await desk.at("Sessions");
    await desk.see("Signed in with passkey");
  },
  "a passkey signs in by the autofill of the browser": async () => {
    await desk.pressUntil("Sign out", "signInWithPasskey");
    await desk.at("Sessions");
    await desk.see("Signed in with passkey");
  },
  "a passkey that the server does not know is refused, and autofill goes on": async () => {
    await portico.sql("UPDATE passkeys SET credential_id = 'x' || credential_id");
    await desk.press("Sign out");
    await desk.warned("This passkey was not accepted.");
    await portico.sql("UPDATE passkeys SET credential_id = substring(credential_id from 2)");
    await desk.at("Sessions");
  },
  "autofill goes on after the button, and ends with the page": async () => {
    await mae.passkeys.offers(false);
    await desk.press("Sign out");
    await desk.button("Sign in with a passkey").waitFor();
    await mae.passkeys.verifies(false);
    await mae.passkeys.offers(true);
    await desk.press("Sign in with a passkey");
    await desk.warned("No passkey was used.");
    await desk.inspect();
    await desk.follow("Create an account");
    await desk.at("Create an account");
    await mae.passkeys.verifies(true);
    await desk.follow("Sign in instead");
    await desk.at("Profile");
  },
  "after the password, a passkey is asked for first": async () => {
    await mae.passkeys.offers(false);
    await desk.press("Sign out");
    await desk.signIn(mae);
    await desk.at("Two-step sign-in");
    assert.ok(await desk.button("Use your passkey").evaluate((element) => element === document.activeElement));
    assert.equal(await desk.button("Use your authenticator app").count(), 0);
    await desk.inspect();
    await mae.passkeys.offers(true);
    await mae.passkeys.verifies(false);
    await desk.press("Use your passkey");
    await desk.warned("No passkey was used.");
    await mae.passkeys.verifies(true);
    await desk.press("Use your passkey");
    await desk.at("Profile");
    await desk.follow("Sessions");
    await desk.see("Signed in with password and passkey");
  },
  "a recovery code does instead of a passkey": async () => {
    await phone.page.context().clearCookies();
    await phone.open("/sign-in");
    await phone.signIn(mae);
    await phone.press("Use a recovery code");
    assert.ok(await phone.hasFocus("Recovery code"));
    await phone.fill({ "Recovery code": mae.recoveryCodes[0] });
    await phone.press("Continue");
    await phone.told("Codes that are left: 9.");
  },
  "a passkey is asked for to step up, and an authenticator app is added to it": async () => {
    await portico.sql(AGE);
    await desk.follow("Security");
    await desk.press("Set up");
    await desk.dialog.waitFor();
    await desk.inspect();
    await desk.press("Use your passkey");
    mae.code = await desk.scanApp();
    await desk.enterCode(await mae.code(), "Confirm");
    await desk.told("The authenticator app is added.");
    assert.equal(await desk.page.getByText("Your recovery codes").count(), 0);
    await desk.inspect();
  },
  "a code does instead of a passkey, in both places": async () => {
    await portico.sql(AGE);
    await desk.pressAndConfirm("Make new codes");
    await desk.press("Use your authenticator app");
    await desk.enterCode(await mae.code(), "Confirm");
    await desk.see("Your recovery codes");
    await desk.press("I have stored them");
    await desk.see("Codes that are left: 10.");
    await mae.passkeys.offers(false);
    await desk.press("Sign out");
    await desk.signIn(mae);
    await desk.press("Use your authenticator app");
    await desk.enterCode(await mae.code());
    await desk.at("Security");
    await mae.passkeys.offers(true);
  },
  "who has registered the most passkeys is told": async () => {
    await portico.sql(`
      WITH copies AS (
        INSERT INTO factors (id, user_id, kind, created_at)
        SELECT gen_random_uuid(), user_id, kind, created_at FROM factors, generate_series(1, 19) WHERE kind = 'PASSKEY'
        RETURNING id
      )
      INSERT INTO passkeys SELECT (jsonb_populate_record(passkeys, jsonb_build_object('factor_id', id,
        'credential_id', '\\x' || replace(id::text, '-', '')))).* FROM passkeys, copies`);
    await desk.press("Add a passkey");
    await desk.warned("You have 20 passkeys, the most that are possible.");
    await portico.sql("DELETE FROM factors USING passkeys WHERE id = factor_id AND length(credential_id) = 16");
    await desk.page.reload();
  },
  "a forgotten password leaves the passkeys, and the email names them": async () => {
    await phone.press("Sign out");
    await phone.follow("Forgot your password?");
    await phone.at("Forgot your password?"); // the page before has such a field, too
    await phone.fill({ Email: mae.email });
    await phone.press("Send the email");
    await phone.told("link");
    await phone.open(await portico.linkIn("Choose a new password", mae.email));
    mae.password = "difference engine 11";
    await phone.fill({ "New password": mae.password });
    await phone.press("Set password");
    await phone.told("Your password is changed. Sign in with it.");
    await portico.email("The desk in Lund");
    await mae.passkeys.offers(false);
    await desk.page.reload();
    await desk.signIn(mae);
    await desk.at("Two-step sign-in");
    await mae.passkeys.offers(true);
    await desk.press("Use your passkey");
    await desk.at("Security");
    await desk.see("The desk in Lund");
  },
  "the last way in is not removed": async () => {
    await portico.sql(`UPDATE users SET password_hash = NULL WHERE email = '${mae.email}'`);
    await desk.pressAndConfirm("Remove The desk in Lund", "Remove");
    await desk.warned("This is your only way to sign in.");
    await desk.inspect();
    await desk.see("on this device only");
    await portico.sql(`
      UPDATE users SET password_hash = other.password_hash FROM users AS other
      WHERE users.email = '${mae.email}' AND other.email = '${ADMIN.email}'`);
  },
  "a passkey is removed, and the browser forgets it": async () => {
    await portico.sql(AGE);
    await desk.pressAndConfirm("Remove The desk in Lund", "Remove");
    await desk.press("Use your passkey");
    await desk.told("The passkey “The desk in Lund” is removed.");
    await desk.inspect();
    await portico.until("removal in the browser", async () => (await mae.passkeys.stored()).length === 0);
  },
  "a page at an IP address says where passkeys can be used": async () => {
    const address = app.url.replace("localhost", "127.0.0.1");
    await portico.restart({ EMAIL_VERIFICATION: "off", CORS_ORIGINS: `${app.url},${address}` });
    await tablet.open(`${address}/sign-in`);
    await tablet.see("browsers do not allow them at an IP address");
    assert.equal(await tablet.button("Sign in with a passkey").count(), 0);
    await tablet.inspect();
    await tablet.follow("Open this page at localhost");
    await tablet.button("Sign in with a passkey").waitFor();
    assert.equal(tablet.page.url(), `${app.url}/sign-in`);
  },
  "a server that begins to require a second factor leads to its enrollment": async () => {
    await portico.restart({ EMAIL_VERIFICATION: "off", SECOND_FACTOR_REQUIRED: "admins" });
    await office.open("/");
    await office.at("Security");
    await portico.restart({ EMAIL_VERIFICATION: "off" });
    await office.open("/");
    await office.at("Profile");
    await portico.restart({ EMAIL_VERIFICATION: "off", SECOND_FACTOR_REQUIRED: "everybody" });
    await office.fill({ Name: "Ada" });
    await office.press("Save");
    await office.at("Security");
    await office.told("This server requires a passkey or an authenticator app.");
    assert.equal(await office.page.getByRole("link", { name: "Users" }).count(), 0);
    await office.inspect();
  },
  "who has not received the recovery codes is told, and makes new ones": async () => {
    await office.press("Set up");
    await office.fill({ "Your password": ADMIN.password }); // the session is old
    await office.press("Confirm");
    await office.see("Scan this with your authenticator app");
    await office.press("Cancel");
    const code = await office.enroll();
    await office.loseAnswer(CONFIRMED);
    await office.enterCode(await code(), "Confirm");
    await office.warned("The server could not be reached.");
    await office.press("Confirm");
    await office.see("your recovery codes were lost on the way");
    await office.inspect();
    await office.pressAndConfirm("Make new codes");
    await office.see("Your recovery codes");
    await office.press("I have stored them");
    await office.see("Codes that are left: 10.");
    await office.follow("Users");
    await office.at("Users");
  },
  "the pictures for the README are taken": async () => {
    await office.page.emulateMedia({ colorScheme: "dark" });
    await office.page.setViewportSize(PHONE);
    await office.open("/sessions");
    await office.see("this device");
    await office.page.screenshot({ path: join(screenshots, "phone.png") });
    for (const name of ["users.png", "phone.png", "passkeys.png", "enrollment.png", "challenge.png"])
      assert.ok((await stat(join(screenshots, name))).size > 10_000);
  },
};

/** Tells what the people see where they cannot go on. */
async function describe() {
  for (const page of browser.contexts().flatMap((context) => context.pages()))
    console.log(`${page.url()}: ${await page.locator("body").innerText()}\n`);
}

let failed = false;
for (const [name, check] of Object.entries(checks)) {
  let failure;
  await check().catch((error) => (failure = error.message));
  failure = offences[0] ?? failure; // what a page did wrong is likelier the cause
  if (failure) await describe();
  console.log(failure ? `FAILED: ${name}: ${failure}` : `ok: ${name}`);
  failed = Boolean(failure);
  if (failed) break; // each one begins where the one before has ended
}
await browser.close();
await Promise.all([app.stop(), portico.stop()]);
await rm(scratch, { recursive: true });
process.exitCode = failed ? 1 : 0;
