import { CombinedGraphQLErrors } from "@apollo/client/errors";
import { graphql } from "./gql";

// All mutations spread it: what there is to tell of an outcome that is a problem.
graphql(`
  fragment Problem on Problem {
    message
    ... on InvalidInput {
      issues {
        path
        message
      }
    }
  }
`);

export interface Issue {
  path: readonly string[];
  message: string;
}

/** What to tell the person who submitted a form. */
export interface Result {
  ok: boolean;
  message: string;
  issues?: readonly Issue[];
}

export const done = (message: string): Result => ({ ok: true, message });

/** For the outcomes that implement `Problem`. Those of `InvalidInput` have issues, which belong to fields. */
export const problem = ({ message, issues = [] }: Omit<Result, "ok">): Result => ({ ok: false, message, issues });

/** The person closed the dialog of the browser, or it found no passkey: browsers do not say which. */
export const NO_PASSKEY = problem({ message: "No passkey was used. Try again." });

export const FACTOR_REQUIRED = "This server requires a passkey or an authenticator app. Add one to continue.";

/** Does not compile where an outcome of the schema is not handled. */
export function unhandled(outcome: never): never {
  throw Object.assign(new Error(JSON.stringify(outcome)), { code: "UNKNOWN_OUTCOME" });
}

/** What to tell about a request without an outcome: it was refused, or the server could not answer. */
export function explain(error: unknown): string {
  switch (codeOf(error)) {
    case "UNAUTHENTICATED":
      return "You are signed out. Sign in to continue.";
    case "STEP_UP_REQUIRED":
      return "Nothing was done: this needs your confirmation that it is you.";
    case "SECOND_FACTOR_REQUIRED":
      return FACTOR_REQUIRED;
    case "FORBIDDEN":
    case "EMAIL_NOT_VERIFIED":
    case "LIMIT_REACHED":
      return error instanceof Error ? error.message : "You may not do that now.";
    case "RATE_LIMITED":
    case "SERVICE_UNAVAILABLE":
      return `The server is busy. Try again in ${wait(error)}.`;
    case "BAD_USER_INPUT":
      return "The server did not accept this. Change it and try again.";
    case undefined:
      return "The server could not be reached. Check your connection and try again.";
    default:
      return "Something went wrong on the server.";
  }
}

/** The code of a refusal, of Apollo Client or of the session; undefined if no answer arrived. */
export function codeOf(error: unknown): unknown {
  if (CombinedGraphQLErrors.is(error)) return error.errors[0]?.extensions?.code;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined; // that of a timeout is a number
}

function wait(error: unknown): string {
  const seconds = CombinedGraphQLErrors.is(error) && error.errors[0]?.extensions?.retryAfter;
  if (typeof seconds !== "number") return "a moment";
  return seconds === 1 ? "1 second" : `${String(seconds)} seconds`;
}
