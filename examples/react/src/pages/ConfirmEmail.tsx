import { Link } from "react-router";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import { done, problem, unhandled } from "../results";
import { Form } from "../ui/Form";
import { LinkPage } from "../ui/LinkPage";

const ConfirmEmailChange = graphql(`
  mutation ConfirmEmailChange($input: TokenInput!) {
    outcome: confirmEmailChange(input: $input) {
      __typename
      ... on UserChanged {
        user {
          id
          email
        }
      }
      ...Problem
    }
  }
`);

export function ConfirmEmail() {
  const mutate = useMutate();

  async function confirm(token: string) {
    const { outcome } = await mutate({ mutation: ConfirmEmailChange, variables: { input: { token } } });
    switch (outcome.__typename) {
      case "UserChanged":
        return done(`The address of the account is ${outcome.user.email} now.`);
      case "TokenInvalid":
      case "EmailTaken":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <LinkPage title="Confirm the change" form={(token) => <Form submit={() => confirm(token)} button="Confirm" />}>
      <Link to="/">Continue</Link>
    </LinkPage>
  );
}
