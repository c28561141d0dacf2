// oauth4webapi against PORTICO_URL: it finds the keys by the issuer, and validates access tokens by
// RFC 9068. PORTICO_EMAIL and PORTICO_PASSWORD are those of a user of it.
import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";

const { PORTICO_URL, PORTICO_EMAIL, PORTICO_PASSWORD } = process.env;
if (!PORTICO_URL || !PORTICO_EMAIL || !PORTICO_PASSWORD) {
  console.error("FAILED: PORTICO_URL, PORTICO_EMAIL and PORTICO_PASSWORD must be set.");
  process.exit(2);
}
const AUDIENCE = "portico";
const issuer = new URL(PORTICO_URL);
// The server under test is on loopback, without TLS.
const insecure = { [oauth.allowInsecureRequests]: true };

async function ask(query, variables, token) {
  const authorization = token ? { authorization: `Bearer ${token}` } : {};
  const response = await fetch(new URL("/graphql", PORTICO_URL), {
    method: "POST",
    headers: { "content-type": "application/json", ...authorization },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()).data;
}

async function discover(algorithm) {
  const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure });
  return oauth.processDiscoveryResponse(issuer, response);
}

async function validate(server, token, audience = AUDIENCE) {
  const headers = { authorization: `Bearer ${token}` };
  const request = new Request("https://api.example/notes", { headers });
  const options = { ...insecure, signingAlgorithms: server.id_token_signing_alg_values_supported };
  return oauth.validateJwtAccessToken(server, request, audience, options);
}

const LOGIN = `mutation ($input: LoginInput!) {
  login(input: $input) { ... on SignedIn { user { subject } tokens { accessToken refreshToken } } }
}`;
const { login } = await ask(LOGIN, { input: { email: PORTICO_EMAIL, password: PORTICO_PASSWORD } });
const { accessToken, refreshToken } = login.tokens;
const server = await discover("oidc");

const [header, payload, signature] = accessToken.split(".");
const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
const decode = (part) => JSON.parse(Buffer.from(part, "base64url"));
const claims = decode(payload);
const without = (name) => {
  const { [name]: _, ...rest } = claims;
  return rest;
};
const signatureOfAnother = Buffer.from(signature, "base64url").map((byte) => byte ^ 1);

const refused = {
  "another subject": [header, encode({ ...claims, sub: crypto.randomUUID() }), signature],
  "a later end": [header, encode({ ...claims, exp: claims.exp + 3600 }), signature],
  "no client_id": [header, encode(without("client_id")), signature],
  "another type": [encode({ ...decode(header), typ: "JWT" }), payload, signature],
  "no algorithm": [encode({ ...decode(header), alg: "none" }), payload, ""],
  "another signature": [header, payload, signatureOfAnother.toString("base64url")],
};

const checks = {
  async "the issuer is found by OpenID Connect Discovery and by RFC 8414 alike"() {
    assert.deepEqual(await discover("oauth2"), server);
    assert.equal(server.jwks_uri, new URL("/.well-known/jwks.json", PORTICO_URL).href);
  },

  async "an access token is accepted, and names the user as the API does"() {
    const valid = await validate(server, accessToken);
    assert.equal(valid.sub, login.user.subject);
    assert.equal(valid.client_id, "portico");
    assert.equal(typeof valid.auth_time, "number");
  },

  async "the API takes the subject of the token for the user's id"() {
    const found = await ask(
      "query ($id: ID!, $subject: String!) { user(by: {subject: $subject}) { id } node(id: $id) { id } }",
      { id: claims.sub, subject: claims.sub },
      accessToken,
    );
    assert.equal(found.user.id, found.node.id);
  },

  async "a token for another audience is refused"() {
    await assert.rejects(validate(server, accessToken, "other"));
  },

  async "a refresh token is refused"() {
    await assert.rejects(validate(server, refreshToken));
  },
};
for (const [name, parts] of Object.entries(refused)) {
  checks[`a token that was changed is refused: ${name}`] = () =>
    assert.rejects(validate(server, parts.join(".")));
}

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
