import { Link } from "react-router";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import { done, problem, unhandled } from "../results";
import { Field, Form, type Values } from "../ui/Form";
import { Page } from "../ui/Page";

const RequestPasswordReset = graphql(`
  mutation RequestPasswordReset($input: EmailInput!) {
    outcome: requestPasswordReset(input: $input) {
      __typename
      ... on RequestAccepted {
        message
      }
      ...Problem
    }
  }
`);

export function ForgotPassword() {
  const mutate = useMutate();

  async function request({ email }: Values<"email">) {
    const { outcome } = await mutate({ mutation: RequestPasswordReset, variables: { input: { email } } });
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
    <Page title="Forgot your password?">
      <Form submit={request} button="Send the email">
        <Field name="email" label="Email" type="email" autoComplete="username" required hint="We send you a link to choose another password." />
      </Form>
      <nav aria-label="More" className="links">
        <Link to="/sign-in">Sign in</Link>
      </nav>
    </Page>
  );
}
