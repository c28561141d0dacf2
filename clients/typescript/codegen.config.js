import { readFileSync } from "node:fs";
import { transformSync } from "esbuild";

const source = readFileSync(new URL("src/documents.ts", import.meta.url), "utf8");
const { code } = transformSync(source, { loader: "ts" });
const documents = await import(`data:text/javascript,${encodeURIComponent(code)}`);

export default {
  schema: "../../schema.graphql",
  documents: Object.values(documents),
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
