import { Kind, print, stripIgnoredCharacters, visit } from "graphql";

const minified = (definition) => JSON.stringify(stripIgnoredCharacters(print(definition)));

function spreadsIn(definition) {
  const names = [];
  visit(definition, { FragmentSpread: ({ name }) => void names.push(name.value) });
  return names;
}

/** Writes each operation with the fragments that it uses; a fragment is written once. */
const minifiedDocuments = {
  plugin(schema, documents) {
    const definitions = documents.flatMap(({ document }) => document.definitions);
    const operations = definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
    const fragments = new Map(
      definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION).map((one) => [one.name.value, one]),
    );
    const used = (definition) =>
      new Set(spreadsIn(definition).flatMap((name) => [name, ...used(fragments.get(name))]));
    return [
      ...[...fragments].map(([name, fragment]) => `const ${name} = ${minified(fragment)};`),
      "export const documents = {",
      ...operations.map((operation) => {
        const parts = [minified(operation), ...used(operation)];
        return `  ${operation.name.value}: ${parts.join(" + ")},`;
      }),
      "};",
    ].join("\n");
  },
};

export default {
  schema: "../../schema.graphql",
  documents: "src/operations.graphql",
  pluginLoader: (name) => (name.endsWith("minified-documents") ? minifiedDocuments : import(name)),
  generates: {
    "src/generated.ts": {
      plugins: ["typescript-operations", "minified-documents"],
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
