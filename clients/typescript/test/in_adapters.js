import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { cacheExchange, Client, fetchExchange } from "@urql/core";
import { createSession } from "@portico/client";
import { sessionLink } from "@portico/client/apollo";
import { sessionExchange } from "@portico/client/urql";
import { password, register } from "./accounts.js";
import { enroll } from "./factors.js";
import { startProxy } from "./proxy.js";

const ME = "query Me { me { email } }";
const RENEW = "mutation Renew { renewRecoveryCodes { codes } }";
const STEP_UP = "mutation StepUp($input: StepUpInput!) { stepUp(input: $input) { __typename } }";

const urqlClient = (url, session) =>
  new Client({
    url,
    fetch: session.fetch,
    preferGetMethod: false,
    exchanges: [sessionExchange(session, () => [cacheExchange, fetchExchange])],
  });

const clients = {
  "Apollo Client": (url, session) => {
    const http = new HttpLink({ uri: url, fetch: session.fetch });
    const client = new ApolloClient({
      link: ApolloLink.from([sessionLink(session), http]),
      cache: new InMemoryCache(),
    });
    return {
      ask: async () => (await client.query({ query: gql(ME) })).data,
      change: async (mutation, variables) => (await client.mutate({ mutation: gql(mutation), variables })).data,
      watch: (listener) =>
        client.watchQuery({ query: gql(ME) }).subscribe(({ data }) => data && listener(data)),
    };
  },
  urql: (url, session) => {
    const client = urqlClient(url, session);
    return {
      ask: async () => (await client.query(ME, {}).toPromise()).data,
      change: async (mutation, variables = {}) => (await client.mutation(mutation, variables).toPromise()).data,
      watch: (listener) => client.query(ME, {}).subscribe(({ data, stale }) => data && !stale && listener(data)),
    };
  },
};

export function inAdapters(world) {
  async function arrange(t, connect, options) {
    const proxy = await startProxy(world.portico.url);
    const [first, second] = [await register(proxy.url), await register(proxy.url)];
    const session = createSession({ url: proxy.url, delivery: "BODY", ...options });
    t.after(() => {
      session.close();
      proxy.close();
    });
    await session.signIn({ email: first.email, password });
    proxy.forget();
    return { proxy, first, second, session, client: connect(proxy.url, session) };
  }

  for (const [name, connect] of Object.entries(clients)) {
    test(`${name} asks once for what it has in its cache`, async (t) => {
      const { proxy, first, client } = await arrange(t, connect);

      const answers = [await client.ask(), await client.ask()];

      assert.deepEqual(answers.map(({ me }) => me.email), [first.email, first.email]);
      assert.equal(proxy.count("Me"), 1);
    });

    test(`${name} asks again for the next user, and for nobody`, async (t) => {
      const { first, second, session, client } = await arrange(t, connect);
      const seen = [];
      const watching = client.watch(({ me }) => {
        const email = me?.email ?? null;
        if (email !== seen.at(-1)) seen.push(email);
      });
      const shows = async (email) => {
        while (seen.at(-1) !== email) await sleep(20);
      };
      await shows(first.email);

      await session.signIn({ email: second.email, password });
      await shows(second.email);
      const { me } = await client.ask();
      await session.signOut();
      await shows(null);
      watching.unsubscribe();

      assert.equal(me.email, second.email);
      assert.deepEqual(seen, [first.email, second.email, null]);
    });

    test(`${name} gets the answer to a mutation that was refused, after its client has stepped up`, async (t) => {
      const stepUp = async () => {
        const input = { answer: { totp: await app.nextCode() } };
        return (await client.change(STEP_UP, { input })).stepUp.__typename === "SteppedUp";
      };
      const { proxy, first, client } = await arrange(t, connect, { stepUp });
      const app = await enroll(world.portico, proxy.url, first.email);

      const { renewRecoveryCodes } = await client.change(RENEW);

      assert.equal(renewRecoveryCodes.codes.length, 10);
      assert.deepEqual([proxy.count("Renew"), proxy.count("StepUp")], [2, 1]);
    });
  }

  test("urql reports an error for a mutation under way when the user changes", async (t) => {
    const { proxy, session } = await arrange(t, clients.urql);
    const client = urqlClient(proxy.url, session);
    const release = proxy.holdAnswer("Rename");
    const renaming = client
      .mutation('mutation Rename { updateProfile(input: { displayName: "Ada" }) { __typename } }', {})
      .toPromise();
    while (!proxy.count("Rename")) await sleep(10);

    await session.signOut();
    const { error } = await renaming;
    release();

    assert.match(error.message, /The user changed before the answer arrived/);
  });
}
