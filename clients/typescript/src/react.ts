import { useSyncExternalStore } from "react";
import type { Session } from "./index.js";

/** Renders again after each change of the session. */
export function useSession(session: Session): Pick<Session, "status" | "user" | "endedBy"> {
  const status = useSyncExternalStore(session.subscribe, () => session.status, () => "loading" as const);
  const user = useSyncExternalStore(session.subscribe, () => session.user, () => null);
  const endedBy = useSyncExternalStore(session.subscribe, () => session.endedBy, () => null);
  return { status, user, endedBy };
}
