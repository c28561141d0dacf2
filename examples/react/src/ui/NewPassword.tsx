import { useQuery } from "@apollo/client/react";
import { graphql } from "../gql";
import { Field } from "./Form";

const PasswordRules = graphql(`
  query PasswordRules {
    server {
      passwordMinLength
      passwordMaxLength
    }
  }
`);

export function NewPassword({ name, label }: { name: string; label: string }) {
  const { data } = useQuery(PasswordRules);
  return (
    <Field
      name={name}
      label={label}
      type="password"
      autoComplete="new-password"
      maxLength={data?.server.passwordMaxLength}
      hint={data && `At least ${String(data.server.passwordMinLength)} characters, and not easy to guess.`}
    />
  );
}
