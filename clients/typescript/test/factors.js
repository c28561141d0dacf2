// Second factors, as a person with an authenticator app and another device has them.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ask, bearer, signIn } from "./accounts.js";

const PERIOD_MS = 30_000;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** Verifies the address on another device; returns the headers of its session. */
export async function verifyAddress(portico, url, email) {
  const { accessToken } = await signIn(url, email);
  await ask(url, `mutation { requestEmailVerification(input: { email: "${email}" }) { __typename } }`);
  const verified = await ask(
    url,
    `mutation ($token: String!) { verifyEmail(input: { token: $token }) { ... on SignedIn { tokens { accessToken } } } }`,
    { token: await portico.emailedToken(email) },
    bearer(accessToken), // which keeps the password
  );
  return bearer(verified.data.verifyEmail.tokens.accessToken);
}

/** Verifies the address and enrolls an authenticator app, on another device. */
export async function enroll(portico, url, email) {
  const headers = await verifyAddress(portico, url, email);
  const begun = await ask(
    url,
    "mutation { beginTotpEnrollment { ... on TotpEnrollment { secret } } }",
    {},
    headers,
  );
  const nextCode = authenticator(begun.data.beginTotpEnrollment.secret);
  const { data } = await ask(
    url,
    `mutation ($code: String!) { confirmTotpEnrollment(input: { code: $code }) {
       ... on FactorAdded { factor { id } recoveryCodes } } }`,
    { code: await nextCode() },
    headers,
  );
  const { factor, recoveryCodes } = data.confirmTotpEnrollment;
  return {
    nextCode,
    recoveryCodes,
    /** After this, other sessions still have to step up, with the password. */
    async remove() {
      const removed = await ask(
        url,
        "mutation ($id: ID!) { removeFactor(input: { factorId: $id }) { __typename } }",
        { id: factor.id },
        headers,
      );
      assert.equal(removed.data.removeFactor.__typename, "UserChanged");
    },
  };
}

/** Returns codes that were not used before, and waits if there is none yet (RFC 6238). */
function authenticator(secret) {
  let last = 0;
  return async () => {
    const current = () => Math.floor(Date.now() / PERIOD_MS);
    last = Math.max(last + 1, current() - 1);
    while (last > current() + 1) await sleep(500);
    return codeAt(secret, last);
  };
}

function codeAt(secret, step) {
  const bits = [...secret].map((letter) => ALPHABET.indexOf(letter).toString(2).padStart(5, "0"));
  const key = Buffer.from(bits.join("").match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const hash = createHmac("sha1", key).update(counter).digest();
  const number = hash.readUInt32BE(hash.at(-1) & 0xf) & 0x7fffffff;
  return String(number % 1e6).padStart(6, "0");
}
