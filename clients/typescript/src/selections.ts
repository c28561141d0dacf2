// What several documents have in common.

export const PROBLEM =
  "...on Problem{message ...on InvalidInput{issues{path code message limit}}...on RateLimited{retryAfter}}";

/** Each mutation has one input, whose type is named after it. */
export function mutation(name: string, selection = "") {
  const field = name[0]?.toLowerCase() + name.slice(1);
  return `mutation ${name}($i:${name}Input!){result:${field}(input:$i){__typename ${selection}}}`;
}
