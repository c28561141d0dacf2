import { initGraphQLTada, readFragment, type FragmentOf, type ResultOf } from "gql.tada";
import type { introspection } from "../generated/tada/schema";

const graphql = initGraphQLTada<{
  introspection: introspection;
  scalars: { DateTime: string };
}>();

const Person = graphql(`
  fragment Person on User {
    email
    displayName
    createdAt
  }
`);

const Me = graphql(
  `
    query Me {
      me {
        __typename
        id
        ...Person
      }
    }
  `,
  [Person],
);

const Register = graphql(
  `
    mutation Register($input: RegisterInput!) {
      register(input: $input) {
        __typename
        ... on SignedIn {
          user {
            ...Person
          }
        }
        ... on VerificationSent {
          message
        }
        ... on InvalidInput {
          issues {
            path
            code
            message
          }
        }
        ... on Problem {
          message
        }
      }
    }
  `,
  [Person],
);

export function name(masked: FragmentOf<typeof Person>): string {
  const person = readFragment(Person, masked);
  const since: string = person.createdAt;
  return `${person.displayName ?? person.email} since ${since}`;
}

export function whoAmI({ me }: ResultOf<typeof Me>): string {
  return me ? name(me) + me.id : "a guest";
}

export function outcome({ register }: ResultOf<typeof Register>): string {
  switch (register.__typename) {
    case "SignedIn":
      return name(register.user);
    case "InvalidInput":
      return register.issues.map(({ path, code }) => `${path.join(".")}: ${code}`).join();
    case "VerificationSent":
    case "EmailTaken":
    case "RateLimited":
      return register.message;
    default:
      return register satisfies never;
  }
}
