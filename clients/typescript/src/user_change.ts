import type { Session } from "./index.js";

/** Calls the listener when another user is signed in, or nobody; not when the first state is known. */
export function onUserChange(session: Session, listener: () => void): () => void {
  let wasLoading = session.status === "loading";
  let userId = session.user?.id;
  return session.subscribe(() => {
    const changed = !wasLoading && session.user?.id !== userId;
    wasLoading = false;
    userId = session.user?.id;
    if (changed) listener();
  });
}
