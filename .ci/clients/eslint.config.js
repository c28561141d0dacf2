import { readFileSync } from "node:fs";
import graphql from "@graphql-eslint/eslint-plugin";
import { buildSchema, getNamedType, isAbstractType } from "graphql";

const file = `${import.meta.dirname}/../../schema.graphql`;
const schema = buildSchema(readFileSync(file, "utf8"));

// What a mutation answers tells what happened: a value, without an identity of its own.
const outcomes = new Set(
  Object.values(schema.getMutationType().getFields())
    .map((field) => getNamedType(field.type))
    .flatMap((type) => (isAbstractType(type) ? schema.getPossibleTypes(type) : type))
    .map((type) => type.name),
);

// So is what exists only as a part of something else.
const parts = ["PageInfo", "InputIssue", "Suspension", "Tokens", "AuditDetail", "Challenge", "AcceptedPasskeys"];

// There is one of it.
const singletons = ["Server"];

export default [
  {
    files: ["**/*.graphql"],
    languageOptions: {
      parser: graphql.parser,
      parserOptions: { graphQLConfig: { schema: file } },
    },
    plugins: { "@graphql-eslint": graphql },
    rules: {
      ...graphql.configs["flat/schema-recommended"].rules,
      ...graphql.configs["flat/schema-relay"].rules,
      "@graphql-eslint/strict-id-in-types": [
        "error",
        { exceptions: { types: [...outcomes, ...parts, ...singletons], suffixes: ["Connection", "Edge"] } },
      ],
      // Connections keep their promised `nodes`, and a short list that is always whole, such as
      // the issues of one input, needs no cursors.
      "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false }],
    },
  },
];
