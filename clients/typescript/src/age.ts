/**
 * Returns a function that tells how many milliseconds have passed since a `Date.now()`.
 *
 * The monotonic clock does not depend on the time of day, which people change; in some browsers it
 * stops while the computer sleeps, which the time of day does not. The larger of the two is used:
 * at worst, a token is refreshed early.
 */
export function ageSince(wallClock: number): () => number {
  const monotonic = performance.now();
  return () => Math.max(performance.now() - monotonic, Date.now() - wallClock);
}
