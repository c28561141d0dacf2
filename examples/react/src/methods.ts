import type { AuthenticationMethod } from "./gql/graphql";

const words: Record<AuthenticationMethod, string> = {
  PASSWORD: "password",
  EMAIL: "link in an email",
  TOTP: "authenticator app",
  RECOVERY_CODE: "recovery code",
  PASSKEY: "passkey",
};
const list = new Intl.ListFormat("en");

/** Such as "password and authenticator app". */
export const inWords = (methods: readonly AuthenticationMethod[]) => list.format(methods.map((method) => words[method]));
