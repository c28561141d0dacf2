interface Extensions {
  code?: string;
}

interface Answer {
  data?: Record<string, unknown> | null;
  errors?: { message: string; path?: (string | number)[]; extensions?: Extensions }[];
}

export const failure = (message: string, extensions?: Extensions) =>
  Object.assign(new Error(message), extensions);

const read = (response: Response): Promise<Answer> => response.json().catch(() => ({}));

/** Returns the result of one of our own operations; throws if there is none. */
export async function resultOf<Result>(response: Response): Promise<Result> {
  const { data, errors: [error] = [] } = await read(response);
  if (data?.result) return data.result as Result;
  throw failure(error?.message ?? "HTTP " + response.status, error?.extensions);
}

/** Returns the details of the refusal, if a field was refused with this code, and whether nothing else ran. */
export async function refusalIn(
  response: Response,
  code: string,
): Promise<[refusal: Extensions | undefined, nothingRan: boolean]> {
  const { data, errors = [] } = await read(response.clone());
  const isRefusal = ({ extensions }: (typeof errors)[number]) => extensions?.code === code;
  return [
    errors.find(isRefusal)?.extensions,
    // Each root field has an error of its own. One that is null because of a field below it has run.
    errors.every((error) => isRefusal(error) && error.path?.length === 1) &&
      Object.keys(data ?? {}).length === errors.length,
  ];
}
