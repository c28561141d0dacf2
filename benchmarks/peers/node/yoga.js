// graphql-yoga on node:http, as its documentation starts it.
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";
import { claimsOf, host, port, resolvers, typeDefs } from "./people.js";

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  logging: false,
  graphiql: false,
  context: ({ request }) => ({ claims: claimsOf(request.headers.get("authorization")) }),
});

createServer(yoga).listen(port, host);
