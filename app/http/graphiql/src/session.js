// The session of this page. @portico/client keeps the access token in memory and the refresh token
// in a cookie that no script reads, renews them, and tells other tabs of this origin.
import { createSession } from "@portico/client";

const ENDPOINT = "/graphql";

// Over http, browsers keep the cookie on loopback only; elsewhere a reload signs out.
export const survivesReload = isSecureContext;

export const session = createSession({
  url: ENDPOINT,
  delivery: survivesReload ? "COOKIE" : "BODY",
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
