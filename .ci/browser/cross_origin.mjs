// A page of another origin, in Chromium, whose instrumentation adds headers to each request:
// PORTICO_URL names a running server that has the origin of PORTICO_FRONTEND in CORS_ORIGINS.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const { PORTICO_URL, PORTICO_FRONTEND } = process.env;
if (!PORTICO_URL || !PORTICO_FRONTEND) {
  console.error("FAILED: PORTICO_URL and PORTICO_FRONTEND must be set.");
  process.exit(2);
}
const endpoint = new URL("/graphql", PORTICO_URL).href;
const frontend = new URL(PORTICO_FRONTEND);
const stranger = new URL(PORTICO_FRONTEND);
stranger.port = Number(frontend.port) + 1;

const servers = [frontend, stranger].map(({ port }) =>
  createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<!doctype html><title>A frontend</title>");
  }).listen(Number(port), "127.0.0.1"),
);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), // Chromium's sandbox refuses root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    // No network but these.
    `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${frontend.hostname}, EXCLUDE ${new URL(PORTICO_URL).hostname}`,
  ],
});

// What Sentry and OpenTelemetry add to every request of a page.
const instrumented = {
  "sentry-trace": "d4cda95b652f4a1592b449d5929fda1b-6e0c63257de34c92-1",
  baggage: "sentry-trace_id=d4cda95b652f4a1592b449d5929fda1b",
  traceparent: "00-d4cda95b652f4a1592b449d5929fda1b-6e0c63257de34c92-01",
  tracestate: "vendor=value",
};

/** Sends a request from a page of this origin, and tells what its script can read. */
async function ask(origin, { headers = {}, body = { query: "{ __typename }" }, method = "POST" } = {}) {
  const page = await browser.newPage();
  await page.goto(origin.href);
  const seen = await page.evaluate(
    async ({ url, init }) => {
      try {
        const response = await fetch(url, init);
        const text = await response.text();
        const { headers, ok, status } = response;
        const readable = ["date", "x-request-id", "retry-after", "allow"].filter((name) => headers.has(name));
        return { ok, status, readable, answer: text && JSON.parse(text) };
      } catch (error) {
        return { failure: error.name };
      }
    },
    {
      url: endpoint,
      init: {
        method,
        headers: {
          accept: "application/graphql-response+json",
          "content-type": "application/json",
          ...instrumented,
          ...headers,
        },
        ...(method === "POST" ? { body: JSON.stringify(body) } : {}),
      },
    },
  );
  await page.close();
  return seen;
}

const codeOf = ({ answer }) => answer.errors[0].extensions.code;

const checks = {
  "an instrumented page is answered, and reads the time and the request's id": async () => {
    assert.deepEqual(await ask(frontend), {
      ok: true,
      status: 200,
      readable: ["date", "x-request-id"],
      answer: { data: { __typename: "Query" } },
    });
  },
  "data with errors is ok, and its status can be read": async () => {
    const seen = await ask(frontend, { body: { query: "{ users { totalCount } }" } });
    assert.deepEqual([seen.ok, seen.status, codeOf(seen)], [true, 294, "UNAUTHENTICATED"]);
    assert.deepEqual(seen.answer.data, { users: null });
  },
  "a refused document can be read": async () => {
    const seen = await ask(frontend, { body: { query: "{ x }" } });
    assert.deepEqual([seen.ok, seen.status, codeOf(seen)], [false, 422, "GRAPHQL_VALIDATION_FAILED"]);
  },
  "a body that is too large can be told from a network that is away": async () => {
    const seen = await ask(frontend, { body: { query: "{ __typename }" + " ".repeat(100_000) } });
    assert.deepEqual([seen.status, codeOf(seen)], [413, "BAD_REQUEST"]);
  },
  "a head that is too large can be told from a network that is away": async () => {
    const seen = await ask(frontend, { headers: { "x-large": "a".repeat(20_000) } });
    assert.deepEqual([seen.status, codeOf(seen)], [431, "BAD_REQUEST"]);
  },
  "a page of another origin reads nothing": async () => {
    assert.deepEqual(await ask(stranger), { failure: "TypeError" });
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok: ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED: ${name}: ${error.message}`);
  }
}
await browser.close();
for (const server of servers) server.close();
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
