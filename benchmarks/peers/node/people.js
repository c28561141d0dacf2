// What all Node peers share: the pool, the two reads, the resolvers, the key that verifies.
import { readFileSync } from "node:fs";
import { createVerifier } from "fast-jwt";
import { GraphQLError } from "graphql";
import pg from "pg";

export const publicKey = readFileSync(process.env.PUBLIC_KEY_FILE, "utf8");
export const port = Number(process.env.PORT);
export const host = "127.0.0.1";

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.POOL_SIZE ?? 10),
  idleTimeoutMillis: 0,
});

// Remembering verified tokens is off by default in fast-jwt; one entry of the table has it on.
export const tokenCache = process.env.TOKEN_CACHE === "1";
const verify = createVerifier({ key: publicKey, algorithms: ["ES256"], cache: tokenCache });

/** The claims of a bearer token, or nothing: what @fastify/jwt does, for servers that are not Fastify. */
export function claimsOf(authorization) {
  if (!authorization?.startsWith("Bearer ")) return undefined;
  try {
    return verify(authorization.slice(7));
  } catch {
    return undefined;
  }
}

export const typeDefs = /* GraphQL */ `
  type Query {
    me: User
    users(first: Int, after: String): UserConnection
  }
  type User {
    id: ID!
    email: String!
    isActive: Boolean!
    createdAt: String!
  }
  type UserConnection {
    edges: [UserEdge!]!
    pageInfo: PageInfo!
  }
  type UserEdge {
    cursor: String!
    node: User!
  }
  type PageInfo {
    hasNextPage: Boolean!
    hasPreviousPage: Boolean!
    startCursor: String
    endCursor: String
  }
`;

const COLUMNS = "id, email, role, suspended_at, suspended_until, created_at";
const BY_ID = { name: "user_by_id", text: `SELECT ${COLUMNS} FROM users WHERE id = $1` };
const FIRST = {
  name: "first_users",
  text: `SELECT ${COLUMNS} FROM users ORDER BY created_at, id LIMIT $1`,
};
const AFTER = {
  name: "users_after",
  text: `SELECT ${COLUMNS} FROM users WHERE (created_at, id) > ($2, $3)
         ORDER BY created_at, id LIMIT $1`,
};

async function userById(id) {
  const { rows } = await pool.query({ ...BY_ID, values: [id] });
  return rows[0];
}

async function page(first, after) {
  const [created, id] = after ? Buffer.from(after, "base64").toString().split("|") : [];
  const query = after
    ? { ...AFTER, values: [first + 1, created, id] }
    : { ...FIRST, values: [first + 1] };
  const { rows } = await pool.query(query);
  const hasNextPage = rows.length > first;
  if (hasNextPage) rows.pop();
  const edges = rows.map((node) => ({ cursor: cursor(node), node }));
  return {
    edges,
    pageInfo: {
      hasNextPage,
      hasPreviousPage: Boolean(after),
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

function cursor(row) {
  return Buffer.from(`${row.created_at.toISOString()}|${row.id}`).toString("base64");
}

function refuse(message, code) {
  return new GraphQLError(message, { extensions: { code } });
}

export const resolvers = {
  Query: {
    me: (_root, _args, context) => (context.claims ? userById(context.claims.sub) : null),
    users: async (_root, { first, after }, context) => {
      const viewer = context.claims && (await userById(context.claims.sub));
      if (!viewer) throw refuse("Sign in first.", "UNAUTHENTICATED");
      if (viewer.role !== "ADMIN") throw refuse("For administrators.", "FORBIDDEN");
      return page(Math.min(first ?? 50, 100), after);
    },
  },
  User: {
    isActive: (row) =>
      row.suspended_at === null ||
      (row.suspended_until !== null && row.suspended_until <= new Date()),
    createdAt: (row) => row.created_at.toISOString(),
  },
};
