// Checks Apollo Client against PORTICO_URL: automatic persisted queries, and error codes.
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { CombinedGraphQLErrors } from "@apollo/client/errors";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { print } from "@apollo/client/utilities";

const { PORTICO_URL } = process.env;
if (!PORTICO_URL) {
  console.error("FAILED: PORTICO_URL must be set.");
  process.exit(2);
}
const uri = new URL("/graphql", PORTICO_URL).href;
const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const newQuery = () => gql`query New${randomUUID().replaceAll("-", "")} { me { id } __typename }`;

// Each call makes a new client, so that only the server has cached anything.
function start(options = {}) {
  const calls = [];
  const http = new HttpLink({
    uri,
    async fetch(input, init) {
      const { method, body } = init;
      const sent = body ? JSON.parse(body) : Object.fromEntries(new URL(input).searchParams);
      const response = await fetch(input, init);
      const { errors } = await response.clone().json();
      calls.push({ method, withText: "query" in sent, code: errors?.[0].extensions?.code });
      return response;
    },
  });
  const link = ApolloLink.from([new PersistedQueryLink({ sha256, ...options }), http]);
  return { calls, client: new ApolloClient({ link, cache: new InMemoryCache() }) };
}

const plain = () => ({
  client: new ApolloClient({ link: new HttpLink({ uri }), cache: new InMemoryCache() }),
});

async function refusal({ client }, query) {
  const { error } = await client.query({ query, errorPolicy: "all" });
  assert.ok(CombinedGraphQLErrors.is(error), `not a GraphQL error: ${error}`);
  return error.errors[0].extensions?.code;
}

const checks = {
  async "the text of an unknown hash is requested, and stored"() {
    const query = newQuery();
    const [first, second] = [start(), start()];

    const answer = await first.client.query({ query });
    const again = await second.client.query({ query });

    assert.deepEqual(first.calls, [
      { method: "POST", withText: false, code: "PERSISTED_QUERY_NOT_FOUND" },
      { method: "POST", withText: true, code: undefined },
    ]);
    assert.deepEqual(second.calls, [
      { method: "POST", withText: false, code: undefined },
    ]);
    assert.deepEqual(answer.data, { __typename: "Query", me: null });
    assert.deepEqual(again.data, answer.data);
  },

  async "a known hash is answered over GET as well"() {
    const query = newQuery();
    await start().client.query({ query });
    const reader = start({ useGETForHashedQueries: true });

    const { data } = await reader.client.query({ query });

    assert.deepEqual(reader.calls, [
      { method: "GET", withText: false, code: undefined },
    ]);
    assert.deepEqual(data, { __typename: "Query", me: null });
  },

  async "a hash of another text is refused, and not stored"() {
    const [query, other] = [newQuery(), newQuery()];
    const forger = start({ sha256: () => sha256(print(other)) });

    const code = await refusal(forger, query);
    const victim = start();
    await victim.client.query({ query: other });

    assert.equal(code, "BAD_REQUEST");
    assert.equal(victim.calls[0].code, "PERSISTED_QUERY_NOT_FOUND");
  },

  async "the error of an unknown field has its code"() {
    assert.equal(await refusal(plain(), gql`{ noSuchField }`), "GRAPHQL_VALIDATION_FAILED");
  },

  async "the error of a refused field has its code"() {
    assert.equal(await refusal(plain(), gql`{ users { totalCount } }`), "UNAUTHENTICATED");
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`PASSED ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}\n${error.message}`);
  }
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
