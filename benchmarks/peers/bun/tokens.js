// Who calls: the ES256 access token, verified with the public key or remembered from before.
import { createPublicKey, verify } from "node:crypto";
import { LRUCache } from "lru-cache";

const key = createPublicKey(await Bun.file(process.env.PUBLIC_KEY_FILE).text());
// The synchronous function: Web Crypto goes through another thread, which takes half as long again.
const signedBy = { key, dsaEncoding: "ieee-p1363" };
const remembered = process.env.TOKEN_CACHE === "1" ? new LRUCache({ max: 20_000 }) : undefined;

/** The claims of a bearer token, or nothing if there is none or it is not valid now. */
export function claimsOf(authorization) {
  if (!authorization?.startsWith("Bearer ")) return undefined;
  const token = authorization.slice(7);
  let claims = remembered?.get(token);
  if (claims === undefined) {
    claims = verified(token);
    if (claims !== undefined) remembered?.set(token, claims);
  }
  return claims?.exp > Date.now() / 1000 ? claims : undefined;
}

function verified(token) {
  const [header, payload, signature, ...more] = token.split(".");
  if (signature === undefined || more.length > 0) return undefined;
  try {
    if (decoded(header).alg !== "ES256") return undefined;
    const signed = Buffer.from(`${header}.${payload}`);
    const valid = verify("sha256", signed, signedBy, Buffer.from(signature, "base64url"));
    return valid ? decoded(payload) : undefined;
  } catch {
    return undefined;
  }
}

function decoded(part) {
  return JSON.parse(Buffer.from(part, "base64url").toString());
}
