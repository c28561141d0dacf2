import { useApolloClient, useSuspenseQuery } from "@apollo/client/react";
import { graphql } from "./gql";

export const Me = graphql(`
  query Me {
    me {
      id
      email
      emailVerified
      displayName
      role
      createdAt
      factors {
        __typename
        id
        createdAt
        lastUsedAt
        ... on Passkey {
          name
          isBackedUp
        }
      }
      recoveryCodesLeft
    }
    server {
      secondFactorRequired
    }
  }
`);

/** The signed-in user, for the pages below `MemberLayout`. */
export function useMe() {
  const { data: { me, server } } = useSuspenseQuery(Me);
  if (!me) throw new Error("Nobody is signed in.");
  const factors = me.factors ?? [];
  const passkeys = factors.filter((factor) => factor.__typename === "Passkey");
  const app = factors.find((factor) => factor.__typename === "TotpFactor");
  const required = server.secondFactorRequired;
  const isRequired = required === "EVERYBODY" || (required === "ADMINS" && me.role === "ADMIN");
  return { ...me, factors, passkeys, app, mustEnroll: isRequired && factors.length === 0 };
}

/** Asks the server again who the user is. If it cannot be reached, what is shown stays. */
export function useRefreshMe() {
  const client = useApolloClient();
  return () => client.query({ query: Me, fetchPolicy: "network-only" });
}
