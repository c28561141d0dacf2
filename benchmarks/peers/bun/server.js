// Bun.serve, Bun.SQL and graphql-jit: GraphQL over HTTP without a framework.
import { parse, validate } from "graphql";
import { compileQuery, isCompiledQuery } from "graphql-jit";
import { LRUCache } from "lru-cache";
import { schema, viewerOf } from "./people.js";
import { claimsOf } from "./tokens.js";

const compiled = new LRUCache({ max: 1000 });

Bun.serve({
  hostname: "127.0.0.1",
  port: process.env.PORT,
  development: false,
  routes: { "/graphql": { POST: answer } },
});

async function answer(request) {
  const claims = claimsOf(request.headers.get("authorization"));
  const { query, operationName, variables } = await request.json();
  const operation = compiledOperation(query, operationName);
  if (!isCompiledQuery(operation)) return Response.json(operation, { status: 400 });
  const viewer = await viewerOf(claims);
  return Response.json(await operation.query(null, { viewer }, variables));
}

/** What executes an operation, or an answer with the errors of its document. */
function compiledOperation(query, operationName) {
  const name = operationName ? `${operationName} ${query}` : query;
  let operation = compiled.get(name);
  if (operation === undefined) {
    operation = compile(query, operationName);
    if (isCompiledQuery(operation)) compiled.set(name, operation);
  }
  return operation;
}

function compile(query, operationName) {
  try {
    const document = parse(query);
    const errors = validate(schema, document);
    return errors.length > 0 ? { errors } : compileQuery(schema, document, operationName);
  } catch (error) {
    return { errors: [error] };
  }
}
