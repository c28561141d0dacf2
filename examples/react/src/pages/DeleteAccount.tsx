import { useNavigate } from "react-router";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import { done, problem, unhandled } from "../results";
import { session } from "../session";
import { Field, Form, type Values } from "../ui/Form";
import { Card, Page } from "../ui/Page";

const DeleteAccountMutation = graphql(`
  mutation DeleteAccount($input: DeleteAccountInput!) {
    outcome: deleteAccount(input: $input) {
      __typename
      ... on AccountDeleted {
        message
      }
      ...Problem
    }
  }
`);

export function DeleteAccount() {
  const mutate = useMutate();
  const navigate = useNavigate();

  async function remove(input: Values<"password">) {
    const { outcome } = await mutate({ mutation: DeleteAccountMutation, variables: { input } });
    switch (outcome.__typename) {
      case "AccountDeleted":
        await session.signOut(); // the server has ended the sessions, and now all tabs of this origin know
        await navigate("/sign-in", { replace: true, state: { notice: outcome.message } });
        return done(outcome.message);
      case "InvalidCredentials":
      case "LastAdministrator":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <Page title="Delete account">
      <Card title="Delete your account and all its data">
        <p>This cannot be undone.</p>
        <Form submit={remove} button="Delete account" look="danger">
          <Field name="password" label="Password" type="password" autoComplete="current-password" />
        </Form>
      </Card>
    </Page>
  );
}
