// mercurius with graphql-jit on Fastify; tokens by @fastify/jwt.
import fastifyJwt from "@fastify/jwt";
import Fastify from "fastify";
import mercurius from "mercurius";
import { host, port, publicKey, resolvers, tokenCache, typeDefs } from "./people.js";

const app = Fastify({ logger: false });

app.register(fastifyJwt, {
  secret: { public: publicKey },
  verify: { algorithms: ["ES256"], cache: tokenCache },
});
app.register(mercurius, {
  schema: typeDefs,
  resolvers,
  jit: 1,
  graphiql: false,
  context: async (request) => {
    try {
      return { claims: await request.jwtVerify() };
    } catch {
      return {};
    }
  },
});

await app.listen({ host, port });
