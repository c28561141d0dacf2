import { useSuspenseQuery } from "@apollo/client/react";
import { Link, useParams } from "react-router";
import { useMutate } from "../apollo";
import { graphql } from "../gql";
import type { UserChangeFragment } from "../gql/graphql";
import { done, problem, unhandled } from "../results";
import { Field, Form, type Values } from "../ui/Form";
import { Card, Page } from "../ui/Page";
import { When } from "../ui/When";

graphql(`
  fragment UserDetails on User {
    id
    email
    displayName
    role
    isActive
    createdAt
    lastLoginAt
    suspension {
      reason
      until
    }
  }
`);

const UserById = graphql(`
  query User($id: ID!) {
    user(by: { id: $id }) {
      ...UserDetails
    }
  }
`);

graphql(`
  fragment UserChange on UserChangeResult {
    __typename
    ... on UserChanged {
      user {
        ...UserDetails
      }
    }
    ...Problem
  }
`);

const Suspend = graphql(`
  mutation Suspend($input: SuspendUserInput!) {
    outcome: suspendUser(input: $input) {
      ...UserChange
    }
  }
`);

const Reinstate = graphql(`
  mutation Reinstate($input: UserInput!) {
    outcome: reinstateUser(input: $input) {
      ...UserChange
    }
  }
`);

function resultOf(outcome: UserChangeFragment, message: string) {
  switch (outcome.__typename) {
    case "UserChanged":
      return done(message);
    case "NotFound":
    case "LastAdministrator":
    case "InvalidInput":
      return problem(outcome);
    default:
      return unhandled(outcome);
  }
}

export function UserDetails() {
  const { id = "" } = useParams();
  const { data } = useSuspenseQuery(UserById, { variables: { id }, fetchPolicy: "cache-and-network" });
  const { user } = data;
  if (!user) return <Page title="No such user"><Link to="/users">All users</Link></Page>;

  return (
    <Page title={user.displayName ?? user.email}>
      <Card title="Account">
        <dl>
          <dt>Email</dt>
          <dd>{user.email}</dd>
          <dt>Role</dt>
          <dd>{user.role === "ADMIN" ? "Administrator" : "Member"}</dd>
          <dt>Since</dt>
          <dd><When at={user.createdAt} /></dd>
          <dt>Last sign-in</dt>
          <dd>{user.lastLoginAt ? <When at={user.lastLoginAt} /> : "Never"}</dd>
        </dl>
      </Card>
      {user.suspension ? <Suspended userId={id} {...user.suspension} /> : <Active userId={id} />}
      <Link to="/users">All users</Link>
    </Page>
  );
}

function Active({ userId }: { userId: string }) {
  const mutate = useMutate();

  async function suspend({ reason, until }: Values<"reason" | "until">) {
    const input = { userId, reason, until: until ? new Date(until).toISOString() : null };
    const { outcome } = await mutate({ mutation: Suspend, variables: { input } });
    return resultOf(outcome, "Suspended.");
  }

  return (
    <Card title="Suspend">
      <p>Ends all sessions of this user. They cannot sign in until they are reinstated.</p>
      <Form submit={suspend} button="Suspend" look="danger">
        <Field name="reason" label="Reason" hint="Only administrators see it." />
        <Field name="until" label="Until" type="datetime-local" hint="Leave it empty to suspend without an end." />
      </Form>
    </Card>
  );
}

function Suspended({ userId, reason, until }: { userId: string; reason: string; until: string | null }) {
  const mutate = useMutate();

  async function reinstate() {
    const { outcome } = await mutate({ mutation: Reinstate, variables: { input: { userId } } });
    return resultOf(outcome, "Reinstated.");
  }

  return (
    <Card title="Suspended">
      <dl>
        <dt>Reason</dt>
        <dd>{reason}</dd>
        <dt>Until</dt>
        <dd>{until ? <When at={until} /> : "Reinstated"}</dd>
      </dl>
      <Form submit={reinstate} button="Reinstate" />
    </Card>
  );
}
