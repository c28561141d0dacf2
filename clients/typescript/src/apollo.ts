import { ApolloLink, type ApolloClient } from "@apollo/client";
import type { Session } from "./index.js";
import { onUserChange } from "./user_change.js";

/**
 * Resets the store of Apollo Client when another user is signed in, or nobody: the next user does
 * not see results of the former one, and the queries on the page are asked again.
 *
 * It comes before the `HttpLink`, which has `fetch: session.fetch`.
 */
export function sessionLink(session: Session): ApolloLink {
  const clients = new Set<ApolloClient>();
  onUserChange(session, () => {
    // A query that fails when it is asked again says so itself.
    for (const client of clients) client.resetStore().catch(() => {});
  });
  return new ApolloLink((operation, forward) => {
    clients.add(operation.client);
    return forward(operation);
  });
}
