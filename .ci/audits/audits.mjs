// The audits of GraphQL over HTTP that `graphql-http` makes, all of them, against PORTICO_URL.
import { auditServer } from "graphql-http";

const { PORTICO_URL } = process.env;
if (!PORTICO_URL) {
  console.error("FAILED: PORTICO_URL must be set.");
  process.exit(2);
}

// `graphql-http` 1.23.1 audits a draft. These recommendations of it contradict the specification as
// it was released in September 2026 (5.1 and 5.4), in the sentences before them.
const of = (prefix, count) => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
const outdated = {
  "If the request is not a well-formed GraphQL-over-HTTP request, status code 422 SHOULD be used.": [
    "423L", // `query` is missing
    "3E3A", // `variables` is a list
    ...of("LKJ", 4), // `query` is of another type
    ...of("6C0", 4), // `operationName` is
    ...of("476", 4), // `variables` is
    ...of("58B", 4), // `extensions` is
  ],
  "If the variable values cannot be coerced to match the operation's variable definitions, status code 422 SHOULD be used.":
    ["86EE"],
  "If the Accept header […] does indicate support for application/json, […] the request SHOULD be performed […] as if the request had specified Accept: application/graphql-response+json.":
    [
      "572B", // 200 for a document that does not parse
      "FDE2", // 200 for one that does not validate
      "7B9B", // 200 for variables that cannot be coerced
    ],
};
const sentences = new Map(
  Object.entries(outdated).flatMap(([sentence, ids]) => ids.map((id) => [id, sentence])),
);

const results = await auditServer({ url: new URL("/graphql", PORTICO_URL).href });

// A recommendation that is not followed counts as a failure too.
const failed = results.filter(({ id, status }) => status !== "ok" && !sentences.has(id));
for (const { id, name, status, reason } of failed) {
  console.log(`FAILED ${id} ${name} (${status}): ${reason}`);
}
// One that passes again, or is no longer audited, must be removed from the list.
const contradicting = new Set(
  results.filter(({ status }) => status !== "ok").map(({ id }) => id),
);
const stale = [...sentences.keys()].filter((id) => !contradicting.has(id));
for (const id of stale) console.log(`FAILED ${id} is listed here, and does not fail.`);
for (const [sentence, ids] of Object.entries(outdated)) {
  console.log(`OUTDATED ${ids.join(" ")}: ${sentence}`);
}
const passed = results.length - contradicting.size;
console.log(`${passed} passed, ${failed.length + stale.length} failed, ${sentences.size} outdated`);
process.exitCode = failed.length || stale.length ? 1 : 0;
