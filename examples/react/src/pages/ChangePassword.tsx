import { done, problem, unhandled } from "../results";
import { session } from "../session";
import { Field, Form, type Values } from "../ui/Form";
import { NewPassword } from "../ui/NewPassword";
import { Card, Page } from "../ui/Page";

type Fields = Values<"currentPassword" | "newPassword"> & Partial<Values<"keepOtherSessions">>;

async function change({ currentPassword, newPassword, keepOtherSessions }: Fields) {
  const outcome = await session.changePassword({
    currentPassword,
    newPassword,
    keepOtherSessions: keepOtherSessions !== undefined,
  });
  switch (outcome.__typename) {
    case "PasswordChanged":
      return done("Your password is changed.");
    case "InvalidCredentials":
    case "InvalidInput":
    case "RateLimited":
      return problem(outcome);
    default:
      return unhandled(outcome);
  }
}

export function ChangePassword() {
  return (
    <Page title="Password">
      <Card title="Change your password">
        <Form submit={change} button="Change password">
          <Field name="currentPassword" label="Current password" type="password" autoComplete="current-password" />
          <NewPassword name="newPassword" label="New password" />
          <label className="check">
            <input type="checkbox" name="keepOtherSessions" /> Stay signed in on other devices
          </label>
        </Form>
      </Card>
    </Page>
  );
}
