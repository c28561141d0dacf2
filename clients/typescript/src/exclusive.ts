// Other tabs get the message about new tokens before they get the lock, and then need no refresh.
const HANDOVER_MS = 50;

/** Runs work one at a time: in all tabs where the name is shared, otherwise in this session. */
export function exclusiveRunner(sharedName: string | undefined) {
  const { locks } = globalThis.navigator ?? {};
  if (!sharedName || !locks) return queue();
  return <Result>(work: () => Promise<Result>) =>
    new Promise<Result>((resolve, reject) => {
      const run = () => work().then(resolve, reject).then(handover);
      locks.request(sharedName, run).catch(reject);
    });
}

const handover = () => new Promise((resolve) => setTimeout(resolve, HANDOVER_MS));

function queue() {
  let last: Promise<unknown> = Promise.resolve();
  return <Result>(work: () => Promise<Result>) => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
}
