import type { ResultOf, TypedDocumentNode } from "@graphql-typed-document-node/core";
import { type FragmentType, graphql, useFragment } from "../generated/codegen";

type Execute = <Data, Variables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
) => Promise<Data>;

const Person = graphql(`
  fragment Person on User {
    id
    email
    displayName
    role
    createdAt
    lastLoginAt
  }
`);

const Login = graphql(`
  mutation Login($input: LoginInput!) {
    login(input: $input) {
      __typename
      ... on SignedIn {
        user {
          ...Person
        }
        tokens {
          accessToken
          accessTokenExpiresAt
        }
      }
      ... on ChallengeRequired {
        challenge {
          methods
        }
      }
      ... on Problem {
        message
      }
      ... on RateLimited {
        retryAfter
      }
    }
  }
`);

const People = graphql(`
  query People($after: String, $filter: UserFilter, $orderBy: UserOrder) {
    users(first: 20, after: $after, filter: $filter, orderBy: $orderBy) {
      edges {
        cursor
        node {
          ...Person
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
      totalCount
    }
  }
`);

const OnePerson = graphql(`
  query OnePerson($by: UserBy!) {
    user(by: $by) {
      ...Person
    }
  }
`);

export function greeting(masked: FragmentType<typeof Person>): string {
  const person = useFragment(Person, masked);
  const since: string = person.createdAt;
  return `${person.displayName ?? person.email}, ${person.role} since ${since}`;
}

function outcome(result: ResultOf<typeof Login>["login"]): string {
  switch (result.__typename) {
    case "SignedIn":
      return greeting(result.user) + result.tokens.accessToken;
    case "ChallengeRequired":
      return result.challenge.methods.join();
    case "InvalidCredentials":
    case "EmailNotVerified":
      return result.message;
    case "RateLimited":
      return `${result.message} (${result.retryAfter.toFixed()} s)`;
    default:
      return result satisfies never;
  }
}

export async function signIn(execute: Execute, email: string, password: string): Promise<string> {
  const { login } = await execute(Login, { input: { email, password } });
  return outcome(login);
}

export async function administrators(execute: Execute, joinedBefore: string): Promise<string[]> {
  const { users } = await execute(People, {
    filter: { role: "ADMIN", createdAt: { before: joinedBefore } },
    orderBy: { field: "EMAIL" },
  });
  return users?.edges.map((edge) => greeting(edge.node)) ?? [];
}

export async function find(execute: Execute, email: string): Promise<string | null> {
  const { user } = await execute(OnePerson, { by: { email } });
  return user && greeting(user);
}
