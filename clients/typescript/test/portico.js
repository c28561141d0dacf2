// A server of Portico with a database of its own, and the emails that it prints.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const command = process.env.PORTICO ?? join(import.meta.dirname, "../../../.venv/bin/portico");
const { PYTHONDONTWRITEBYTECODE, ...environment } = process.env;

export async function startPortico({ port, frontend }) {
  const folder = mkdtempSync(join(tmpdir(), "portico-client-"));
  const url = `http://localhost:${port}`;
  let printed = "";
  let server;

  async function start() {
    server = spawn(command, ["serve", "--port", String(port)], {
      cwd: folder, // not the .env of the repository
      env: {
        ...environment,
        DATA_DIR: join(folder, "data"),
        CORS_ORIGINS: frontend,
        THROTTLE_SCALE: "1000",
        MANAGEMENT_ADDRESS: "off",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    server.stdout.on("data", (chunk) => (printed += chunk));
    server.stderr.on("data", (chunk) => (printed += chunk));
    while (!(await isReady())) {
      if (server.exitCode !== null) throw new Error(printed);
      await sleep(100);
    }
  }

  const isReady = () => fetch(`${url}/health/ready`).then(({ ok }) => ok, () => false);

  async function stop() {
    if (server.exitCode !== null) return;
    server.kill();
    await once(server, "close"); // all that it printed is here then
  }

  await start();
  return {
    url,
    start,
    stop,
    async close() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
      if (/Internal error|Traceback/.test(printed)) throw new Error(`Portico had an internal error:\n${printed}`);
    },
    /** Returns the token of the last emailed link for this address, as soon as it is there. */
    async emailedToken(email) {
      for (;;) {
        const [, token] = printed.match(new RegExp(`To: ${email}[^]*?#token=(pot_[\\w-]+)\\s`)) ?? [];
        if (token) return token;
        await sleep(50);
      }
    },
  };
}
