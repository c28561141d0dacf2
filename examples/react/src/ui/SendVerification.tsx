import { useMe } from "../me";
import { useRequestVerification } from "../useRequestVerification";
import { Form } from "./Form";

/** Sends the link that verifies the address of the user, where something needs that first. */
export function SendVerification() {
  const { email } = useMe();
  const requestVerification = useRequestVerification();
  return <Form submit={() => requestVerification(email)} button="Send the link" look="quiet" />;
}
