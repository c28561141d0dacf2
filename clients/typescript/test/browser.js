// Chromium, with a frontend of another origin than Portico whose page has one session.
import { createServer } from "node:http";
import { buildSync } from "esbuild";
import { chromium } from "playwright-core";

const { outputFiles } = buildSync({
  stdin: {
    contents: 'export * from "./index.js"; export * as passkeys from "./passkeys.js";',
    resolveDir: `${import.meta.dirname}/../dist`,
  },
  bundle: true,
  minify: true,
  format: "esm",
  write: false,
});
const client = outputFiles[0].text;

/** The endpoint is in the query of the address, so that it survives a reload. */
const html = `<!doctype html><title>A frontend</title><input autocomplete="username webauthn"><script type="module">
  import { createSession, passkeys } from "/client.js";
  const url = new URLSearchParams(location.search).get("url");
  const session = createSession({ url, stepUp: (required) => window.stepUp(required) });
  window.session = session;
  window.passkeys = passkeys;
  window.changes = [];
  session.subscribe(() => changes.push([session.status, session.user?.email ?? null]));
  window.graphql = async (query) => {
    const response = await session.fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/graphql-response+json" },
      body: JSON.stringify({ query }),
    });
    return response.json();
  };
</script>`;

export async function startFrontend({ port, hostname }) {
  const server = createServer((request, response) => {
    const isScript = request.url === "/client.js";
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? client : html);
  });
  await new Promise((resolve) => server.listen(Number(port), "127.0.0.1", resolve));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), // Chromium's sandbox refuses root
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${hostname}, EXCLUDE 127.0.0.1`,
    ],
  });
  return {
    browser,
    async close() {
      await browser.close();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Opens a tab; with a clock, the test moves its time. */
export async function openTab(context, frontend, url, { withClock = false } = {}) {
  const page = await context.newPage();
  if (withClock) await page.clock.install();
  await page.goto(`${frontend.origin}/?url=${encodeURIComponent(url)}`);
  await page.waitForFunction(() => window.session);
  return {
    page,
    signIn: (email, password) =>
      page.evaluate((input) => session.signIn(input), { email, password }),
    signOut: () => page.evaluate(() => session.signOut()),
    ask: (query) => page.evaluate((text) => graphql(text), query),
    changes: () => page.evaluate(() => changes),
    ready: () => page.evaluate(() => session.ready),
    state: () =>
      page.evaluate(() => [session.status, session.user?.email ?? null, session.endedBy?.reason ?? null]),
    /** Waits until this is the state. */
    becomes: (status, email = null) =>
      page.waitForFunction(
        ([wanted, who]) => session.status === wanted && (session.user?.email ?? null) === who,
        [status, email],
      ),
    reload: async () => {
      await page.reload();
      await page.waitForFunction(() => window.session);
      await page.evaluate(() => session.ready);
    },
  };
}
