// What a person's phone does: it reads a QR code, and computes codes of its secret (RFC 6238).
import { createHmac } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import decodeQR from "qr/decode.js";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const STEP_MS = 30_000;
const ENTRY_MS = 3_000; // what it may take to enter a code

function bytesOf(base32) {
  const bits = [...base32].map((letter) => ALPHABET.indexOf(letter).toString(2).padStart(5, "0")).join("");
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
}

/** The text of a QR code in a page, from its pixels. */
export async function scan(svg) {
  const [size, gray] = await svg.evaluate((svg) => {
    const modules = svg.viewBox.baseVal.width;
    const scale = 4;
    const size = modules * scale;
    const context = new OffscreenCanvas(size, size).getContext("2d");
    context.scale(scale, scale);
    context.fillStyle = "white";
    context.fillRect(0, 0, modules, modules);
    context.fillStyle = "black";
    context.fill(new Path2D(svg.querySelector("path").getAttribute("d")));
    return [size, [...context.getImageData(0, 0, size, size).data.filter((_, index) => index % 4 === 0)]];
  });
  return decodeQR({ width: size, height: size, data: Uint8Array.from(gray.flatMap((value) => [value, value, value, 255])) });
}

/** An app with the secret of a QR code. The server accepts each code once, and those of one step before and after. */
export function authenticator(uri) {
  const secret = bytesOf(new URL(uri).searchParams.get("secret"));
  let last = -Infinity;
  return async function code() {
    const now = () => Math.floor(Date.now() / STEP_MS);
    const left = STEP_MS - (Date.now() % STEP_MS);
    if (left < ENTRY_MS) await wait(left); // or a code of one step before would be of two
    last = Math.max(last + 1, now() - 1);
    while (last > now() + 1) await wait(500);
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(last));
    const mac = createHmac("sha1", secret).update(counter).digest();
    const number = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
    return String(number % 1_000_000).padStart(6, "0");
  };
}

/** What keeps passkeys on a device: Chromium's virtual authenticator. Its person agrees to all that is asked. */
export async function passkeyDevice(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const options = {
    protocol: "ctap2",
    transport: "internal",
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true,
    automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", { options });
  return {
    /** Whether the person chooses a passkey where one is asked for, or waits. */
    offers: (enabled) => devtools.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled }),
    /** Whether the person passes the check of their fingerprint. */
    verifies: (isUserVerified) => devtools.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified }),
    async stored() {
      const { credentials } = await devtools.send("WebAuthn.getCredentials", { authenticatorId });
      return credentials;
    },
  };
}
