// Apollo Server on Fastify: of the integrations its documentation lists, the fastest here (Express and standalone are slower).
import { ApolloServer } from "@apollo/server";
import fastifyApollo, { fastifyApolloDrainPlugin } from "@as-integrations/fastify";
import Fastify from "fastify";
import { claimsOf, host, port, resolvers, typeDefs } from "./people.js";

const app = Fastify({ logger: false });
const apollo = new ApolloServer({ typeDefs, resolvers, plugins: [fastifyApolloDrainPlugin(app)] });
await apollo.start();
await app.register(fastifyApollo(apollo), {
  context: async (request) => ({ claims: claimsOf(request.headers.authorization) }),
});
await app.listen({ host, port });
