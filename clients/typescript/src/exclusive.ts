// Other tabs get the message about new tokens before they get the lock, and then need no refresh.
const HANDOVER_MS = 50;

const handover = () => new Promise((resolve) => setTimeout(resolve, HANDOVER_MS));

/** Runs work one at a time: in all tabs where there are locks, otherwise in this session. */
export function exclusiveRunner(locks: LockManager | undefined, name: string) {
  let last = Promise.resolve();
  return <Result>(work: () => Promise<Result>) =>
    new Promise<Result>((resolve, reject) => {
      const run = () => work().then(resolve, reject);
      if (locks) locks.request(name, () => run().then(handover)).catch(reject);
      else last = last.then(run);
    });
}
