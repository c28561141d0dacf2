import { Link } from "react-router";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import { done, problem, unhandled } from "../results";
import { Field, Form, type Values } from "../ui/Form";
import { Page } from "../ui/Page";

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

export function RequestVerification() {
  const mutate = useMutate();

  async function request({ email }: Values<"email">) {
    const { outcome } = await mutate({ mutation: RequestEmailVerification, variables: { input: { email } } });
    switch (outcome.__typename) {
      case "RequestAccepted":
        return done(outcome.message);
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <Page title="Verify your email">
      <Form submit={request} button="Send the email">
        <Field name="email" label="Email" type="email" autoComplete="username" hint="We send you a link that verifies this address." />
      </Form>
      <nav aria-label="More" className="links">
        <Link to="/">Continue</Link>
      </nav>
    </Page>
  );
}
