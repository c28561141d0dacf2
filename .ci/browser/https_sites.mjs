// Portico and the sites around it, over https on one port: a proxy before a server of its own, and
// pages of other hosts that serve what an attacker would, for a browser that knows no other hosts.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer, request as forward } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const PORTICO = fileURLToPath(new URL("../../.venv/bin/portico", import.meta.url));
// All that there is for the browser.
const HOSTS = ["*.portico.test", "evil.test"];
const SERVICE_WORKER = `
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("message", async ({ data: [url, init], ports: [port] }) => {
  port.postMessage(await fetch(url, init).then(() => "answered", () => "failed"));
});`;

/** Starts Portico at https://id.portico.test, and the sites of other hosts on the same port. */
export async function startSites({ admin, corsOrigins }) {
  const folder = mkdtempSync(join(tmpdir(), "portico-browser-"));
  const internalPort = await freePort();
  /** What reached Portico, as "POST 415", and the cookies it came with. */
  const seen = [];
  const answerOf = { "id.portico.test": proxyTo(internalPort, seen) };
  const options = { ...certificate(folder), maxHeaderSize: 256 * 1024 };
  const server = createTlsServer(options, (request, response) => {
    const host = request.headers.host.split(":")[0];
    (answerOf[host] ?? answerAsSite)(request, response);
  });
  await listening(server);
  const { port } = server.address();
  const originOf = (host) => `https://${host}:${port}`;
  const log = join(folder, "server.log");
  const portico = spawn(PORTICO, ["serve", "--port", String(internalPort)], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      DATA_DIR: join(folder, "data"),
      FIRST_ADMIN_PASSWORD: admin.password,
      MANAGEMENT_ADDRESS: "off",
      PUBLIC_URL: originOf("id.portico.test"),
      CORS_ORIGINS: corsOrigins.map(originOf).join(),
      TRUSTED_PROXIES: "127.0.0.1",
      THROTTLE_SCALE: "1000", // Rate limits have tests of their own.
    },
    stdio: ["ignore", "ignore", openSync(log, "w")],
  });
  const ended = new Promise((resolve) => portico.once("exit", resolve));
  process.once("exit", () => portico.kill());
  await ready(`http://127.0.0.1:${internalPort}/health/ready`);
  const browser = await startBrowser();
  return {
    browser,
    originOf,
    seen,
    endpoint: `${originOf("id.portico.test")}/graphql`,
    /** Sends an operation as a program: without a browser, whose cookies it cannot see. */
    send: (body, headers = {}) =>
      fetch(`http://127.0.0.1:${internalPort}/graphql`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      }),
    /** Stops everything, and returns what the server logged. */
    stop: async () => {
      await browser.close();
      server.closeAllConnections();
      server.close();
      portico.kill();
      await ended;
      const logged = readFileSync(log, "utf8");
      rmSync(folder, { recursive: true, force: true });
      return logged;
    },
  };
}

function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), // Chromium's sandbox refuses root
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--ignore-certificate-errors",
      `--host-resolver-rules=${HOSTS.map((host) => `MAP ${host} 127.0.0.1`)}, MAP * ~NOTFOUND`,
    ],
  });
}

/** Makes a certificate that nobody has signed: the browser ignores errors of certificates. */
function certificate(folder) {
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(folder, name));
  const kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const subject = ["-subj", "/CN=portico.test", "-days", "2"];
  execFileSync("openssl", [...kind, ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

function proxyTo(port, seen) {
  return (request, response) => {
    const { method, url, headers } = request;
    const forwarded = { ...headers, "x-forwarded-for": "192.0.2.1" };
    const target = { port, host: "127.0.0.1", method, path: url };
    const outgoing = forward({ ...target, headers: forwarded });
    outgoing.on("response", (answer) => {
      if (url.startsWith("/graphql")) {
        seen.push({ text: `${method} ${answer.statusCode}`, cookies: headers.cookie ?? "" });
      }
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    outgoing.on("error", () => response.destroy());
    request.pipe(outgoing);
  };
}

/** Answers as a host that is not Portico: with what the query string asks for. */
function answerAsSite(request, response) {
  const { pathname, searchParams } = new URL(request.url, "https://site.test");
  if (pathname === "/redirect") {
    response.writeHead(307, {
      location: searchParams.get("to"),
      "access-control-allow-origin": request.headers.origin ?? "*",
      "access-control-allow-credentials": "true",
      "access-control-allow-headers": "content-type",
    });
    response.end();
    return;
  }
  if (pathname === "/worker.js") {
    response.setHeader("content-type", "text/javascript");
    response.end(SERVICE_WORKER);
    return;
  }
  response.setHeader("content-type", "text/html");
  // Their bytes are UTF-8, as browsers read them.
  const asBytes = (cookie) => Buffer.from(cookie).toString("latin1");
  const cookies = searchParams.getAll("cookie").map(asBytes);
  if (cookies.length) response.setHeader("set-cookie", cookies);
  if (searchParams.has("clear")) response.setHeader("clear-site-data", '"cookies"');
  response.end("<!doctype html><title>A site</title>");
}

async function listening(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}

async function freePort() {
  const server = createServer();
  await listening(server);
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function ready(url) {
  const started = Date.now();
  while (Date.now() - started < 30_000) {
    const isReady = await fetch(url).then((answer) => answer.ok, () => false);
    if (isReady) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`Portico did not start in 30 s: ${url}`);
}
