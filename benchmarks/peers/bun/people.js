// What users are: the schema, its resolvers and the reads of the database.
import { SQL } from "bun";
import { buildSchema, GraphQLError } from "graphql";

// Each tagged template is a named prepared statement, and statements of one connection are pipelined.
const sql = new SQL(process.env.DATABASE_URL, { max: Number(process.env.POOL_SIZE) });
await sql.connect();

export const schema = buildSchema(/* GraphQL */ `
  type Query {
    me: User
    users(first: Int = 50, after: String): UserConnection
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
`);

const { Query, User } = schema.getTypeMap();
resolve(Query, {
  me: (_root, _args, { viewer }) => viewer,
  users: (_root, { first, after }, { viewer }) => {
    if (!viewer) throw refusal("Sign in first.", "UNAUTHENTICATED");
    if (viewer.role !== "ADMIN") throw refusal("For administrators.", "FORBIDDEN");
    return page(Math.min(first, 100), after);
  },
});
resolve(User, {
  isActive,
  createdAt: (user) => user.created_at.toISOString(),
});

/** The user of a token, read with its session on every request: a sign-out counts at once. */
export async function viewerOf(claims) {
  if (claims === undefined) return null;
  const [user] = await sql`
    SELECT users.id, email, role, suspended_at, suspended_until, users.created_at
    FROM sessions JOIN users ON users.id = sessions.user_id
    WHERE sessions.id = ${claims.sid} AND users.id = ${claims.sub}
      AND first_generation <= ${claims.gen}
      AND ended_at IS NULL AND LEAST(expires_at, ends_by) > now()`;
  return user !== undefined && isActive(user) ? user : null;
}

async function page(first, after) {
  const users = await (after ? usersAfter(after, first + 1) : firstUsers(first + 1));
  const hasNextPage = users.length > first;
  if (hasNextPage) users.pop();
  const edges = users.map((node) => ({ cursor: cursor(node), node }));
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

function firstUsers(limit) {
  return sql`
    SELECT id, email, role, suspended_at, suspended_until, created_at
    FROM users ORDER BY created_at, id LIMIT ${limit}`;
}

function usersAfter(after, limit) {
  const [created, id] = Buffer.from(after, "base64").toString().split("|");
  return sql`
    SELECT id, email, role, suspended_at, suspended_until, created_at
    FROM users WHERE (created_at, id) > (${new Date(created)}, ${id})
    ORDER BY created_at, id LIMIT ${limit}`;
}

function cursor(user) {
  return btoa(`${user.created_at.toISOString()}|${user.id}`);
}

function isActive({ suspended_at: suspended, suspended_until: until }) {
  return suspended === null || (until !== null && until <= new Date());
}

function refusal(message, code) {
  return new GraphQLError(message, { extensions: { code } });
}

function resolve(type, resolvers) {
  const fields = type.getFields();
  for (const [name, resolver] of Object.entries(resolvers)) fields[name].resolve = resolver;
}
