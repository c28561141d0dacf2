// The core and the passkeys, as they are in a page: minified, with all that they import, before any compression.
import { buildSync } from "esbuild";

const LIMITS = { index: 4_928, passkeys: 4_096 };

for (const [entry, limit] of Object.entries(LIMITS)) {
  const { outputFiles } = buildSync({
    entryPoints: [`${import.meta.dirname}/../src/${entry}.ts`],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  const size = outputFiles[0].contents.length;
  console.log(`${entry}.ts has ${size} of ${limit} bytes.`);
  if (size > limit) process.exitCode = 1;
}
