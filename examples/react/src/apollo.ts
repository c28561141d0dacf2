import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, type OperationVariables } from "@apollo/client";
import { ErrorLink } from "@apollo/client/link/error";
import { useApolloClient } from "@apollo/client/react";
import possibleTypes from "./gql/possibleTypes";
import { Me } from "./me";
import { codeOf } from "./results";
import { session, url } from "./session";

/** Asks again who the user is when the server has begun to require a second factor: `MemberLayout` then leads to it. */
const secondFactorLink = new ErrorLink(({ error, operation }) => {
  if (codeOf(error) !== "SECOND_FACTOR_REQUIRED") return;
  if (operation.operationName === "Me") return; // or it would be asked without end
  operation.client.query({ query: Me, fetchPolicy: "network-only" }).catch(() => undefined);
});

export const createClient = () =>
  new ApolloClient({
    link: ApolloLink.from([secondFactorLink, new HttpLink({ uri: url, fetch: session.fetch })]),
    cache: new InMemoryCache(possibleTypes),
  });

/** A field that was refused is null and has an entry in `errors`. Then `mutate` rejects, so what it returns is not null. */
type Answered<Data> = { [Field in keyof Data]: NonNullable<Data[Field]> };

export function useMutate() {
  const client = useApolloClient();
  return async <Data, Variables extends OperationVariables>(options: ApolloClient.MutateOptions<Data, Variables>) => {
    const { data } = await client.mutate(options);
    return data as Answered<Data>;
  };
}
