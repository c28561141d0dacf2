// Checks schema.graphql with the tools that generate typed clients.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";

const here = import.meta.dirname;
const root = `${here}/../..`;
const generated = `${here}/generated`;

const checks = {
  // ESLint ignores files outside of the folder it starts in.
  "graphql-eslint": [
    ["eslint", "--config", `${here}/eslint.config.js`, "--max-warnings=0", "schema.graphql"],
  ],
  relay: [
    ["relay-compiler", "--output", "quiet-with-errors", "relay.config.json"],
    ["tsc", "--project", "relay"],
  ],
  "graphql-codegen": [
    ["graphql-codegen", "--config", "codegen.config.json"],
    ["tsc", "--project", "codegen"],
  ],
  "gql.tada": [
    ["gql.tada", "generate-output", "--tsconfig", "tada/tsconfig.json"],
    ["gql.tada", "check", "--fail-on-warn", "--tsconfig", "tada/tsconfig.json"],
    ["tsc", "--project", "tada"],
  ],
};

function succeeds([tool, ...args]) {
  const cwd = tool === "eslint" ? root : here;
  const run = spawnSync(`${here}/node_modules/.bin/${tool}`, args, { cwd, encoding: "utf8" });
  if (run.status !== 0) console.log(run.error?.message ?? run.stdout + run.stderr);
  return run.status === 0;
}

// Otherwise files of an earlier run would hide that this one wrote none.
rmSync(generated, { recursive: true, force: true });
for (const folder of ["relay", "tada"]) mkdirSync(`${generated}/${folder}`, { recursive: true });

let failed = 0;
for (const [name, commands] of Object.entries(checks)) {
  const passed = commands.every(succeeds);
  console.log(`${passed ? "PASSED" : "FAILED"} ${name}`);
  if (!passed) failed += 1;
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
