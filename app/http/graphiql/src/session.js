// The session of this page. @portico/client keeps the access token in memory and the refresh token
// in a cookie that no script reads, renews them, and tells other tabs of this origin.
import { createSession } from "@portico/client";
import { askToStepUp } from "./stepUp.js";

const ENDPOINT = "/graphql";
const UNREACHABLE = "Portico could not be reached.";
const SIGNED_OUT = "You are no longer signed in.";
const NOT_CONFIRMED = "Nothing was changed, since you did not confirm that it is you.";

// Over http, browsers keep the cookie on loopback only; elsewhere a reload signs out.
export const survivesReload = isSecureContext;

export const session = createSession({
  url: ENDPOINT,
  delivery: survivesReload ? "COOKIE" : "BODY",
  stepUp: askToStepUp,
});

/** GraphiQL's fetcher: the token goes along unless the headers editor has an Authorization. */
export async function fetcher({ query, variables, operationName }, { headers } = {}) {
  const response = await session.fetch(ENDPOINT, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json, application/json;q=0.9",
      "Content-Type": "application/json",
      ...headers,
    },
    body: JSON.stringify({ query, variables, operationName }),
  });
  return response.json().catch(() => {
    throw new Error(`The answer (HTTP ${response.status}) is not JSON.`);
  });
}

/** What a method of the session rejects with, as an outcome. */
export function toMessage({ code, message }) {
  if (code === "STEP_UP_REQUIRED") return { code, message: NOT_CONFIRMED };
  return { code, message: code ? message : UNREACHABLE };
}

/** Returns the whole `result` of an operation of the panel, or else a `message` for the person. */
export async function ask(query, variables) {
  const { data, errors } = await fetcher({ query, variables }).catch((error) => ({
    errors: [toMessage(error)],
  }));
  if (data?.result && !errors) return data.result;
  const [{ message, extensions }] = errors ?? [{ message: SIGNED_OUT }];
  return extensions?.code ? toMessage({ ...extensions, message }) : { message };
}
