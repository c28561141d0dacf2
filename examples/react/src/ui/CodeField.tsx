import type { ComponentProps } from "react";
import { Field } from "./Form";

/** For a code of an authenticator app. */
export function CodeField(props: Pick<ComponentProps<typeof Field>, "name" | "autoFocus">) {
  const hint = "The 6 digits that your authenticator app shows.";
  return <Field label="Code" required inputMode="numeric" autoComplete="one-time-code" hint={hint} {...props} />;
}
