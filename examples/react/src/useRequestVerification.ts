import { useMutate } from "./apollo";
import { graphql } from "./gql";
import { done, problem, unhandled } from "./results";

const RequestEmailVerification = graphql(`
  mutation RequestEmailVerification($input: EmailInput!) {
    outcome: requestEmailVerification(input: $input) {
      __typename
      ... on RequestAccepted {
        message
      }
      ...Problem
    }
  }
`);

/** Sends another link that verifies an address. */
export function useRequestVerification() {
  const mutate = useMutate();
  return async (email: string) => {
    const { outcome } = await mutate({ mutation: RequestEmailVerification, variables: { input: { email } } });
    switch (outcome.__typename) {
      case "RequestAccepted":
        return done(outcome.message);
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  };
}
