import { Link } from "react-router";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import { done, problem, unhandled } from "../results";
import { Form, type Values } from "../ui/Form";
import { LinkPage } from "../ui/LinkPage";
import { NewPassword } from "../ui/NewPassword";

const ResetPasswordMutation = graphql(`
  mutation ResetPassword($input: ResetPasswordInput!) {
    outcome: resetPassword(input: $input) {
      __typename
      ...Problem
    }
  }
`);

export function ResetPassword() {
  const mutate = useMutate();

  async function reset(token: string, { newPassword }: Values<"newPassword">) {
    // COOKIE: what tells this device from those of strangers who try passwords goes into the cookie.
    const input = { token, newPassword, delivery: "COOKIE" } as const;
    const { outcome } = await mutate({ mutation: ResetPasswordMutation, variables: { input } });
    switch (outcome.__typename) {
      case "UserChanged":
        return done("Your password is changed. Sign in with it.");
      case "TokenInvalid":
      case "InvalidInput":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <LinkPage
      title="Choose a new password"
      form={(token) => (
        <Form submit={(values: Values<"newPassword">) => reset(token, values)} button="Set password">
          <NewPassword name="newPassword" label="New password" />
        </Form>
      )}
    >
      <Link to="/sign-in">Sign in</Link>
      <Link to="/forgot-password">Request another email</Link>
    </LinkPage>
  );
}
