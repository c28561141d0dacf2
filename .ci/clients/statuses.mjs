// Checks how client libraries handle each status code, against PORTICO_URL: whether the data and the
// code of an error reach the caller.
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { ApolloClient, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { cacheExchange, createClient, fetchExchange } from "@urql/core";
import apollo3 from "apollo-client-3/core/core.cjs";
import persisted3 from "apollo-client-3/link/persisted-queries/persisted-queries.cjs";
import { GraphQLClient } from "graphql-request";
import relay from "relay-runtime";

const { PORTICO_URL } = process.env;
if (!PORTICO_URL) {
  console.error("FAILED: PORTICO_URL must be set.");
  process.exit(2);
}
const codeOf = (errors) => errors?.[0]?.extensions?.code;

// Relay compiles its queries: this is the result for PARTIAL.
const PARTIAL = "query Partial { __typename users { totalCount } }";
const scalar = (name) => ({ alias: null, args: null, kind: "ScalarField", name, storageKey: null });
const users = {
  ...scalar("users"),
  kind: "LinkedField",
  concreteType: "UserConnection",
  plural: false,
  selections: [scalar("totalCount")],
};
const selections = [users];
const compiled = {
  kind: "Request",
  fragment: { kind: "Fragment", name: "Partial", type: "Query", argumentDefinitions: [], selections },
  operation: { kind: "Operation", name: "Partial", argumentDefinitions: [], selections },
  params: { id: null, cacheID: "partial", metadata: {}, name: "Partial", operationKind: "query", text: PARTIAL },
};

// Each sends PARTIAL, with a `fetch` that may replace the body.
const clients = {
  async "Apollo Client 4"(url, fetch) {
    const link = new HttpLink({ uri: url, fetch });
    const client = new ApolloClient({ link, cache: new InMemoryCache() });
    const { data, error } = await client.query({ query: gql(PARTIAL), errorPolicy: "all" });
    return { data, code: codeOf(error?.errors) };
  },
  async "Apollo Client 3"(url, fetch) {
    const link = new apollo3.HttpLink({ uri: url, fetch });
    const client = new apollo3.ApolloClient({ link, cache: new apollo3.InMemoryCache() });
    try {
      const { data, errors } = await client.query({
        query: apollo3.gql(PARTIAL),
        errorPolicy: "all",
      });
      return { data, code: codeOf(errors) };
    } catch (error) {
      return { data: undefined, code: codeOf(error.networkError.result.errors) };
    }
  },
  async urql(url, fetch) {
    const exchanges = [cacheExchange, fetchExchange];
    const client = createClient({ url, fetch, exchanges, preferGetMethod: false });
    const { data, error } = await client.query(PARTIAL, {}).toPromise();
    return { data, code: codeOf(error?.graphQLErrors) };
  },
  async "graphql-request"(url, fetch) {
    const client = new GraphQLClient(url, { fetch, errorPolicy: "all" });
    const { data, errors } = await client.rawRequest(PARTIAL).catch((error) => error.response);
    return { data, code: codeOf(errors) };
  },
  async Relay(url, fetch) {
    // As in its documentation: the status is ignored.
    const network = relay.Network.create(async ({ text: query }) => {
      const headers = {
        accept: "application/graphql-response+json, application/json;q=0.9",
        "content-type": "application/json",
      };
      const body = JSON.stringify({ query });
      return (await fetch(url, { method: "POST", headers, body })).json();
    });
    const store = new relay.Store(new relay.RecordSource());
    const environment = new relay.Environment({ network, store });
    try {
      const data = await relay.fetchQuery(environment, compiled, {}).toPromise();
      // Relay shows errors with data to directives such as `@catch` only.
      return { data: { __typename: "Query", ...data } };
    } catch (error) {
      return { data: undefined, code: codeOf(error.source.errors) };
    }
  },
};

const sends = (query) => (url, init) => fetch(url, { ...init, body: JSON.stringify({ query }) });
const unavailable = createServer((_, response) => {
  const extensions = { code: "SERVICE_UNAVAILABLE", retryAfter: 2 };
  const headers = { "content-type": "application/graphql-response+json; charset=utf-8" };
  response.writeHead(503, { ...headers, "retry-after": "2" });
  response.end(JSON.stringify({ errors: [{ message: "Try again in a moment.", extensions }] }));
});
await new Promise((listening) => unavailable.listen(0, "127.0.0.1", listening));
const endpoint = new URL("/graphql", PORTICO_URL).href;

const cases = {
  "data and errors (294, or 200 for those that do not accept its media type)": {
    statuses: [294, 200],
    data: { __typename: "Query", users: null },
    code: "UNAUTHENTICATED",
  },
  "a document that does not parse (400)": {
    fetch: sends("{"),
    statuses: [400],
    code: "GRAPHQL_PARSE_FAILED",
  },
  "a document that does not validate (422)": {
    fetch: sends("{ noSuchField }"),
    statuses: [422],
    code: "GRAPHQL_VALIDATION_FAILED",
  },
  "an outage, as Portico writes it (503)": {
    url: `http://127.0.0.1:${unavailable.address().port}/graphql`,
    statuses: [503],
    code: "SERVICE_UNAVAILABLE",
  },
};

let [passed, failed] = [0, 0];
for (const [name, { url = endpoint, fetch: send = fetch, statuses, data, code }] of Object.entries(cases)) {
  for (const [client, ask] of Object.entries(clients)) {
    let status;
    const recorded = async (input, init) => {
      const response = await send(input, init);
      ({ status } = response);
      return response;
    };
    try {
      const answer = await ask(url, recorded);
      assert.ok(statuses.includes(status), `the status was ${status}`);
      assert.deepEqual({ code, ...answer, data: answer.data ?? undefined }, { data, code });
      passed += 1;
      console.log(`PASSED ${client}: ${name}: ${status}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${client}: ${name}: ${status}\n${error.message}`);
    }
  }
}
unavailable.close();

// apollo.mjs has the checks of automatic persisted queries with Apollo Client 4.
const statuses = [];
const recorded = async (input, init) => {
  const response = await fetch(input, init);
  statuses.push(response.status);
  return response;
};
const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const persisted = new apollo3.ApolloClient({
  link: persisted3
    .createPersistedQueryLink({ sha256 })
    .concat(new apollo3.HttpLink({ uri: endpoint, fetch: recorded })),
  cache: new apollo3.InMemoryCache(),
});
const newQuery = `query New${randomUUID().replaceAll("-", "")} { me { id } }`;
try {
  const { data } = await persisted.query({ query: apollo3.gql(newQuery) });
  assert.deepEqual({ data, statuses }, { data: { me: null }, statuses: [422, 200] });
  passed += 1;
  console.log("PASSED Apollo Client 3: the text of an unknown hash is requested: 422, 200");
} catch (error) {
  failed += 1;
  console.log(`FAILED Apollo Client 3: the text of an unknown hash is requested\n${error.message}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
