import { useSuspenseQuery } from "@apollo/client/react";
import { graphql } from "./gql";

const Me = graphql(`
  query Me {
    me {
      id
      email
      emailVerified
      displayName
      role
      createdAt
    }
  }
`);

/** The signed-in user, for the pages below `MemberLayout`. */
export function useMe() {
  const { data } = useSuspenseQuery(Me);
  if (!data.me) throw new Error("Nobody is signed in.");
  return data.me;
}
