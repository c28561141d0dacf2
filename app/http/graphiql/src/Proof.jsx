import { passkeysSupported } from "@portico/client/passkeys";
import { useState } from "react";
import { CODE, OneField, PASSWORD, RECOVERY_CODE } from "./OneField.jsx";

const WAYS = {
  PASSKEY: { other: "Use a passkey" },
  TOTP: { other: "Use the app", answer: "totp", field: CODE },
  PASSWORD: { other: "Use the password", answer: "password", field: PASSWORD },
  RECOVERY_CODE: { other: "Use a recovery code", answer: "recoveryCode", field: RECOVERY_CODE },
};

/** Returns those of the methods that can be used here, the strongest first. */
export const waysOf = (methods) =>
  methods.filter((method) => method in WAYS && (method !== "PASSKEY" || passkeysSupported()));

/**
 * A form for one of the methods, and buttons for the others. `onAnswer` and `onPasskey` return what
 * to tell the person, if the form is still there.
 */
export function Proof({ methods, onAnswer, onPasskey, submit, children, ...rest }) {
  const ways = waysOf(methods);
  const [way, setWay] = useState(ways[0]);
  const { answer, field } = WAYS[way];
  const send = (value, form) =>
    field ? onAnswer({ [answer]: value }, form) : onPasskey(form);

  return (
    <OneField
      key={way}
      field={field}
      onSubmit={send}
      submit={field ? submit : WAYS.PASSKEY.other}
      {...rest}
    >
      {ways
        .filter((other) => other !== way)
        .map((other) => (
          <button key={other} type="button" onClick={() => setWay(other)}>
            {WAYS[other].other}
          </button>
        ))}
      {children}
    </OneField>
  );
}
