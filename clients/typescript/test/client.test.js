// Against a server of its own: PORTICO names the command if it is not that of this repository.
import { after, before, suite } from "node:test";
import { inAdapters } from "./in_adapters.js";
import { inChromium } from "./in_chromium.js";
import { inChromiumWithPasskeys } from "./in_chromium_with_passkeys.js";
import { inNode } from "./in_node.js";
import { inNodeWithFactors } from "./in_node_with_factors.js";
import { startPortico } from "./portico.js";

const port = Number(process.env.PORTICO_PORT ?? 8767);
const frontend = new URL(process.env.PORTICO_FRONTEND ?? "http://localhost:8766");

suite("a session of @portico/client", { timeout: 300_000 }, () => {
  const world = { frontend };

  before(async () => {
    world.portico = await startPortico({ port, frontend: frontend.origin });
  });
  after(() => world.portico.close());

  suite("in Node, with tokens in the answers", () => inNode(world));
  suite("in Node, with second factors", () => inNodeWithFactors(world));
  suite("in Apollo Client and urql", () => inAdapters(world));
  suite("in Chromium, with a cookie", () => inChromium(world));
  suite("in Chromium, with passkeys", () => inChromiumWithPasskeys(world));
});
