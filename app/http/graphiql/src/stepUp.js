// A request of the editor or the panel was refused for an old proof: the dialog asks for a new one.
const listeners = new Set();
let pending = null;

function show(next) {
  pending = next;
  for (const listener of listeners) listener();
}

/** What the person is asked for, in the form that useSyncExternalStore reads; null if nothing. */
export const stepUpRequest = {
  subscribe(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  current: () => pending,
};

/** The callback of the session: resolves to whether the person has proved who they are. */
export const askToStepUp = ({ methods }) =>
  new Promise((resolve) => {
    const request = {
      methods,
      finish(isProved) {
        if (pending === request) show(null);
        resolve(isProved);
      },
    };
    show(request);
  });
