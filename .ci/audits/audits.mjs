// The audits of GraphQL over HTTP that `graphql-http` makes, all of them, against PORTICO_URL.
import { auditServer } from "graphql-http";

const { PORTICO_URL } = process.env;
if (!PORTICO_URL) {
  console.error("FAILED: PORTICO_URL must be set.");
  process.exit(2);
}
const results = await auditServer({ url: new URL("/graphql", PORTICO_URL).href });

// A recommendation that is not followed counts as a failure too.
const failed = results.filter(({ status }) => status !== "ok");
for (const { id, name, status, reason } of failed) {
  console.log(`FAILED ${id} ${name} (${status}): ${reason}`);
}
console.log(`${results.length - failed.length} passed, ${failed.length} failed`);
process.exitCode = failed.length ? 1 : 0;
