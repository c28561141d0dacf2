import { Link } from "react-router";
import { done, problem, unhandled } from "../results";
import { session } from "../session";
import { Field, Form, type Values } from "../ui/Form";
import { NewPassword } from "../ui/NewPassword";
import { Page } from "../ui/Page";

async function register({ email, password, displayName }: Values<"email" | "password" | "displayName">) {
  const outcome = await session.register({ email, password, displayName });
  switch (outcome.__typename) {
    case "SignedIn":
      return done("You are signed in."); // GuestLayout redirects now
    case "VerificationSent":
      return done(outcome.message);
    case "EmailTaken":
    case "InvalidInput":
    case "RateLimited":
      return problem(outcome);
    default:
      return unhandled(outcome);
  }
}

export function Register() {
  return (
    <Page title="Create an account">
      <Form submit={register} button="Create account">
        <Field name="displayName" label="Name" autoComplete="name" hint="Optional." />
        <Field name="email" label="Email" type="email" autoComplete="username" />
        <NewPassword name="password" label="Password" />
      </Form>
      <nav aria-label="More" className="links">
        <Link to="/sign-in">Sign in instead</Link>
      </nav>
    </Page>
  );
}
