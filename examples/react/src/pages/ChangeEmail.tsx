import { useMutate } from "../apollo";
import { graphql } from "../gql";
import { useMe } from "../me";
import { done, problem, unhandled } from "../results";
import { Field, Form, type Values } from "../ui/Form";
import { Card, Page } from "../ui/Page";

const RequestEmailChange = graphql(`
  mutation RequestEmailChange($input: RequestEmailChangeInput!) {
    outcome: requestEmailChange(input: $input) {
      __typename
      ... on RequestAccepted {
        message
      }
      ...Problem
    }
  }
`);

export function ChangeEmail() {
  const { email } = useMe();
  const mutate = useMutate();

  async function request(input: Values<"newEmail" | "password">) {
    const { outcome } = await mutate({ mutation: RequestEmailChange, variables: { input } });
    switch (outcome.__typename) {
      case "RequestAccepted":
        return done(outcome.message);
      case "InvalidCredentials":
      case "InvalidInput":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <Page title="Email">
      <Card title="Change your address">
        <p>Your address is {email}. It changes when you open the link that we send to the new one.</p>
        <Form submit={request} button="Send the link">
          <Field name="newEmail" label="New email" type="email" autoComplete="email" />
          <Field name="password" label="Password" type="password" autoComplete="current-password" />
        </Form>
      </Card>
    </Page>
  );
}
