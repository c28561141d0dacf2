import { Link } from "react-router";
import { Field, Form, type Values } from "../ui/Form";
import { Page } from "../ui/Page";
import { useRequestVerification } from "../useRequestVerification";

export function RequestVerification() {
  const request = useRequestVerification();
  return (
    <Page title="Verify your email">
      <Form submit={({ email }: Values<"email">) => request(email)} button="Send the email">
        <Field name="email" label="Email" type="email" autoComplete="username" required hint="We send you a link that verifies this address." />
      </Form>
      <nav aria-label="More" className="links">
        <Link to="/">Continue</Link>
      </nav>
    </Page>
  );
}
