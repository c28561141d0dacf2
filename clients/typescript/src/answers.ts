interface Answer {
  data?: Record<string, unknown> | null;
  errors?: { message: string; path?: unknown[]; extensions?: { code?: string } }[];
}

/** How the server judged the access token of a request. */
export interface Verdict {
  /** A field was refused because the token is not valid, or no longer. */
  unauthenticated: boolean;
  /** All root fields were refused, so that nothing has run. */
  nothingRan: boolean;
}

/** The refusal of a request: an `Error` with the `code` of the answer. */
function refusal(message: string, code?: string, retryAfter?: number) {
  return Object.assign(new Error(message), { code, retryAfter });
}

/** Reads the result of one of our own operations; throws if there is none. */
export async function resultOf<Result>(response: Response): Promise<Result> {
  const { data, errors }: Answer = await response.json().catch(() => ({}));
  if (data?.result) return data.result as Result;
  const error = errors?.[0];
  throw refusal(error?.message ?? `HTTP ${response.status}`, error?.extensions?.code);
}

export async function verdictOf(response: Response): Promise<Verdict> {
  // The usual answer, without errors, is not read twice.
  const withoutErrors =
    response.status === 200 && response.headers.get("content-type")?.includes("graphql-response");
  const { data, errors = [] }: Answer = withoutErrors
    ? {}
    : await response.clone().json().catch(() => ({}));
  const refused = errors.filter(({ extensions }) => extensions?.code === "UNAUTHENTICATED");
  const roots = Object.values(data ?? {});
  return {
    unauthenticated: refused.length > 0,
    // An error below a root field, or a root field that is null for another reason, may have run.
    nothingRan:
      roots.every((value) => value === null) &&
      refused.length === errors.length &&
      refused.filter(({ path }) => path?.length === 1).length === roots.length,
  };
}
