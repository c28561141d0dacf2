import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "fflate";
import { defineConfig } from "vite";

const bundled = new Set(); // the folder of each package that the page or a worker took code from

function notePackages() {
  return {
    name: "note-packages",
    generateBundle(_options, bundle) {
      for (const id of Object.values(bundle).flatMap((chunk) => chunk.moduleIds ?? [])) {
        const folder = id.match(/[^\0]*node_modules\/(@[^/]+\/)?[^/]+/)?.[0];
        if (folder) bundled.add(folder);
      }
    },
  };
}

// Vite's own build.license does not see what only a worker uses.
function writeLicenses() {
  return {
    name: "write-licenses",
    closeBundle() {
      const entries = [...bundled].map((folder) => {
        const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`));
        // Monaco's notices name the code of others inside it (DOMPurify, marked, codicons).
        const texts = readdirSync(folder)
          .filter((file) => /^(licen[cs]e|notice|thirdpartynotices)/i.test(file))
          .sort()
          .map((file) => readFileSync(`${folder}/${file}`, "utf8").trim());
        return [`${name} ${version} (${license})`, ...texts].join("\n\n");
      });
      const rule = `\n\n${"-".repeat(80)}\n\n`;
      writeFileSync("dist/THIRD_PARTY_LICENSES.txt", `${entries.sort().join(rule)}\n`);
    },
  };
}

// fflate, not node:zlib: what zlib writes depends on the Node version and the processor, and CI
// compares bytes. mtime 0 for the same reason.
function shipCompressed() {
  return {
    name: "ship-compressed",
    closeBundle() {
      for (const file of readdirSync("dist/assets")) {
        const path = `dist/assets/${file}`;
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9, mtime: 0 }));
        rmSync(path);
      }
    },
  };
}

const sourceOfClient = fileURLToPath(new URL("../../../clients/typescript/src", import.meta.url));

export default defineConfig({
  resolve: {
    // The source, since its build is not checked in; React is that of this page.
    alias: [
      { find: /^@portico\/client$/, replacement: `${sourceOfClient}/index.ts` },
      { find: "@portico/client/passkeys", replacement: `${sourceOfClient}/passkeys.ts` },
      { find: "@portico/client/react", replacement: `${sourceOfClient}/react.ts` },
    ],
    dedupe: ["react"],
  },
  base: "/graphql/", // index.html then names /graphql/assets/…
  plugins: [notePackages(), writeLicenses(), shipCompressed()],
  worker: {
    format: "es", // module workers from our origin: no blob: in the policy
    plugins: () => [notePackages()],
  },
  build: {
    assetsInlineLimit: 0, // files, not data: URLs, so that the policy can stay narrow
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
    rolldownOptions: {
      // "use client" in a hundred files of the dependencies means nothing here.
      onLog: (level, log, report) => log.code === "MODULE_LEVEL_DIRECTIVE" || report(level, log),
    },
  },
});
