import { signalAcceptedPasskeys } from "@portico/client/passkeys";
import { useMutate } from "./apollo";
import { graphql } from "./gql";
import { useMe, useRefreshMe } from "./me";
import { done, problem, unhandled } from "./results";
import { session } from "./session";

const RemoveFactor = graphql(`
  mutation RemoveFactor($input: RemoveFactorInput!) {
    outcome: removeFactor(input: $input) {
      __typename
      ... on UserChanged {
        user {
          id
          factors {
            id
          }
          recoveryCodesLeft
        }
      }
      ...Problem
    }
  }
`);

/** What a removal ends besides the factor, if it is the last one. */
export function useRemovalWarning() {
  const { factors } = useMe();
  return factors.length === 1
    ? "Signing in then asks for your password alone. Your recovery codes stop working, also those that you have printed."
    : undefined;
}

/** Removes a passkey or the authenticator app, whose `name` begins a sentence. */
export function useRemoveFactor(tell: (notice: string) => void) {
  const mutate = useMutate();
  const refreshMe = useRefreshMe();
  return async (factorId: string, name: string) => {
    const { outcome } = await mutate({ mutation: RemoveFactor, variables: { input: { factorId } } });
    switch (outcome.__typename) {
      case "UserChanged":
        tell(`${name} is removed.`);
        void signalAcceptedPasskeys(session); // the browser then no longer offers a passkey that was removed
        return done("Removed.");
      case "NotFound":
        tell(`${name} was removed already.`);
        await refreshMe();
        return problem(outcome);
      case "LastWayIn":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  };
}
