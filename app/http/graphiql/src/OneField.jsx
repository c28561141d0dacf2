import { useId, useState } from "react";

export const CODE = {
  label: "Code of your app",
  autoComplete: "one-time-code",
  inputMode: "numeric",
};
export const RECOVERY_CODE = { label: "Recovery code", autoComplete: "off", spellCheck: false };
export const PASSWORD = { label: "Password", autoComplete: "current-password", type: "password" };

export const NAME = { label: "Name", autoComplete: "off", maxLength: 100 };

/** A form of one field, or of a button alone. `onSubmit` returns what to tell the person, if the form is still there. */
export function OneField({ field, onSubmit, submit, children, ...rest }) {
  const { label, ...attributes } = field ?? {};
  const [busy, setBusy] = useState(false);
  const [message, setMessage] = useState("");
  const alert = useId();

  const send = async (event) => {
    event.preventDefault();
    if (busy) return;
    const form = event.currentTarget;
    setBusy(true);
    setMessage((await onSubmit(form.elements.value?.value, form)) ?? "");
    setBusy(false);
    form.elements.value?.select();
  };

  return (
    <form onSubmit={send} {...rest}>
      <p role="alert" id={alert}>
        {busy ? "" : message}
      </p>
      {field && (
        <label>
          {label}
          <input name="value" required autoFocus aria-describedby={alert} {...attributes} />
        </label>
      )}
      <button type="submit" autoFocus={!field} aria-disabled={busy}>
        {submit}
      </button>
      {children}
    </form>
  );
}
