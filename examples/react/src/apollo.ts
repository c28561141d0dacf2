import { ApolloClient, HttpLink, InMemoryCache, type OperationVariables } from "@apollo/client";
import { useApolloClient } from "@apollo/client/react";
import possibleTypes from "./gql/possibleTypes";
import { session, url } from "./session";

export const createClient = () =>
  new ApolloClient({
    link: new HttpLink({ uri: url, fetch: session.fetch }),
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
