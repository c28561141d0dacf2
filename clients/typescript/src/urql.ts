import {
  composeExchanges,
  makeErrorResult,
  makeOperation,
  type Exchange,
  type ExchangeIO,
  type Operation,
  type OperationResult,
} from "@urql/core";
import { filter, make, makeSubject, merge, pipe, share, switchMap, tap } from "wonka";
import type { Session } from "./index.js";
import { onUserChange } from "./user_change.js";

/** What comes after the last exchange. */
const nothing: ExchangeIO = (operations) =>
  pipe(
    operations,
    filter((_operation): _operation is never => false),
  );

/**
 * Starts with new exchanges, and so with an empty cache, when another user is signed in, or nobody.
 * The active queries are asked again, and are marked as stale until they are answered; a mutation
 * whose answer is not there yet has an error.
 *
 * It is the last exchange of the client, which has `fetch: session.fetch`, and creates those that cache and fetch.
 */
export function sessionExchange(session: Session, createExchanges: () => Exchange[]): Exchange {
  return (input) => {
    const { client } = input;
    const inner = { ...input, forward: nothing };
    const active = new Map<number, Operation>();
    const abandoned = makeSubject<OperationResult>();

    function remember(operation: Operation) {
      if (operation.kind === "teardown") active.delete(operation.key);
      else active.set(operation.key, operation);
    }

    function forget({ operation }: OperationResult) {
      if (operation.kind === "mutation") active.delete(operation.key);
    }

    function askAgain(operation: Operation) {
      if (operation.kind !== "query") {
        const error = new Error("The user changed before the answer arrived.");
        return abandoned.next(makeErrorResult(operation, error));
      }
      const context = { ...operation.context, requestPolicy: "network-only" as const };
      return client.reexecuteOperation(makeOperation("query", operation, context));
    }

    const users = make<void>(({ next }) => {
      next();
      return onUserChange(session, () => {
        const before = [...active.values()];
        next();
        before.forEach(askAgain);
      });
    });

    return (operations) => {
      const shared = pipe(operations, tap(remember), share);
      const results = pipe(
        users,
        switchMap(() => composeExchanges(createExchanges())(inner)(shared)),
      );
      return pipe(merge([results, abandoned.source]), tap(forget));
    };
  };
}
