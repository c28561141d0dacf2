import { Link } from "react-router";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import { useMe } from "../me";
import { done, problem, unhandled } from "../results";
import { Field, Form, type Values } from "../ui/Form";
import { Card, Page } from "../ui/Page";
import { When } from "../ui/When";

// The answer has the id of the user, so Apollo updates all places that show the name.
const UpdateProfile = graphql(`
  mutation UpdateProfile($input: UpdateProfileInput!) {
    outcome: updateProfile(input: $input) {
      __typename
      ... on UserChanged {
        user {
          id
          displayName
        }
      }
      ...Problem
    }
  }
`);

export function Profile() {
  const me = useMe();
  const mutate = useMutate();

  async function save({ displayName }: Values<"displayName">) {
    const { outcome } = await mutate({ mutation: UpdateProfile, variables: { input: { displayName } } });
    switch (outcome.__typename) {
      case "UserChanged":
        return done("Saved.");
      case "InvalidInput":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <Page title="Profile">
      <Card title="About you">
        <Form submit={save} button="Save" reusable>
          <Field name="displayName" label="Name" autoComplete="name" defaultValue={me.displayName ?? ""} />
        </Form>
      </Card>
      <Card title="Account">
        <dl>
          <dt>Email</dt>
          <dd>
            {me.email}{" "}
            {me.emailVerified ? <span className="tag">verified</span> : <Link to="/request-verification">Verify</Link>}
          </dd>
          <dt>Member since</dt>
          <dd><When at={me.createdAt} /></dd>
        </dl>
        <Link to="/delete-account">Delete account</Link>
      </Card>
    </Page>
  );
}
