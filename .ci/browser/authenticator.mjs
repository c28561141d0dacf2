// An authenticator app: it reads the QR code on the screen, and computes codes (RFC 6238).
import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import decodeQR from "qr/decode.js";

const PERIOD_MS = 30_000;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const PIXELS = 4; // of a module, in the picture that is decoded
const [LIGHT, DARK] = [255, 0];

/** Returns codes that were not used before, and waits if there is none yet. */
export function authenticator(secret) {
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

/** Decodes an SVG of dark squares of one unit each, as the page draws them. */
export async function textOfQrCode(svg) {
  const units = Number((await svg.getAttribute("viewBox")).split(" ")[2]);
  const size = units * PIXELS;
  const data = new Uint8Array(size * size * 4).fill(LIGHT);
  const path = await svg.locator("path").getAttribute("d");
  for (const [, x, y] of path.matchAll(/M(\d+) (\d+)h1v1h-1z/g)) {
    for (let row = y * PIXELS; row < (Number(y) + 1) * PIXELS; row += 1) {
      const start = (row * size + x * PIXELS) * 4;
      for (let pixel = start; pixel < start + PIXELS * 4; pixel += 4) {
        data.fill(DARK, pixel, pixel + 3);
      }
    }
  }
  return decodeQR({ width: size, height: size, data });
}
