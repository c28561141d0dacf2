import { Link } from "react-router";
import { done, problem, unhandled } from "../results";
import { session } from "../session";
import { Form } from "../ui/Form";
import { LinkPage } from "../ui/LinkPage";

async function verify(token: string) {
  const outcome = await session.verifyEmail({ token });
  switch (outcome.__typename) {
    case "SignedIn":
      return done(`${outcome.user.email} is verified, and you are signed in.`);
    case "TokenInvalid":
    case "RateLimited":
      return problem(outcome);
    default:
      return unhandled(outcome);
  }
}

export function VerifyEmail() {
  return (
    <LinkPage title="Verify your email" form={(token) => <Form submit={() => verify(token)} button="Verify" />}>
      <Link to="/">Continue</Link>
      <Link to="/request-verification">Request another email</Link>
    </LinkPage>
  );
}
