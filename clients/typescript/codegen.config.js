import { buildSync } from "esbuild";

/** The texts that a module exports. */
async function documentsIn(module) {
  const entryPoints = [new URL(`src/${module}`, import.meta.url).pathname];
  const { outputFiles } = buildSync({ entryPoints, bundle: true, format: "esm", write: false });
  const documents = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
  return Object.values(documents);
}

export default {
  schema: "../../schema.graphql",
  documents: [
    ...(await documentsIn("documents.ts")),
    ...(await documentsIn("passkey_documents.ts")),
  ],
  generates: {
    "src/generated.ts": {
      plugins: ["typescript-operations"],
      config: {
        scalars: { DateTime: "string", JSON: "unknown" },
        strictScalars: true,
        useTypeImports: true,
        enumType: "string-literal",
        skipTypename: true,
      },
    },
  },
};
