// The core, as it is in a page: minified, with all that it imports, before any compression.
import { buildSync } from "esbuild";

const LIMIT = 4_864;

const { outputFiles } = buildSync({
  entryPoints: [`${import.meta.dirname}/../src/index.ts`],
  bundle: true,
  minify: true,
  format: "esm",
  write: false,
});
const size = outputFiles[0].contents.length;
console.log(`The core has ${size} of ${LIMIT} bytes.`);
process.exitCode = size <= LIMIT ? 0 : 1;
