// The network between a client and Portico, which can fail.
import { createServer, request } from "node:http";

/** Starts a proxy whose `requests` have the operation and the access token of each GraphQL request. */
export async function startProxy(target) {
  const requests = [];
  let rules = [];
  let isDown = false;

  const server = createServer(async (incoming, outgoing) => {
    if (isDown) return incoming.socket.destroy();
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const isQuestion = incoming.method === "POST";
    const name = isQuestion ? operationOf(body.toString()) : undefined;
    if (isQuestion) requests.push({ name, authorization: incoming.headers.authorization });
    const rule = rules.find((one) => one.name === name);
    if (rule) rules = rules.filter((one) => one !== rule);

    const { method, url, headers } = incoming;
    const forwarded = request(new URL(url, target), { method, headers }, async (answer) => {
      const parts = [];
      for await (const part of answer) parts.push(part);
      await rule?.before;
      if (rule?.drop) return incoming.socket.destroy();
      const text = Buffer.concat(parts).toString();
      const changed = rule?.change ? rule.change(text) : text;
      const { "content-length": _length, "transfer-encoding": _encoding, ...kept } = answer.headers;
      outgoing.writeHead(rule?.status ?? answer.statusCode, kept).end(changed);
      rule?.answered?.();
    });
    forwarded.on("error", () => incoming.socket.destroy());
    forwarded.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    url: `http://localhost:${server.address().port}/graphql`,
    requests,
    /** How often an operation was sent since the last `forget`. */
    count: (name) => requests.filter((one) => one.name === name).length,
    forget: () => requests.splice(0),
    /** The next answer to this operation is lost after Portico has done it. */
    dropAnswer: (name) => rules.push({ name, drop: true }),
    /** The next answer to this operation is changed. */
    changeAnswer: (name, change, status) => rules.push({ name, change, status }),
    /** The next answer to this operation waits until the returned function is called. */
    holdAnswer(name) {
      let release;
      const before = new Promise((resolve) => (release = resolve));
      const rule = { name, before };
      rules.push(rule);
      return release;
    },
    goDown: () => (isDown = true),
    comeUp: () => (isDown = false),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const operationOf = (body) => {
  const { query } = JSON.parse(body);
  return query.match(/(?:query|mutation) (\w+)/)?.[1];
};
