import { useNavigate } from "react-router";
import { session } from "./session";

const NOT_SIGNED_OUT =
  "Signed out here, but the server could not be reached: a reload signs you in again. Sign out once more when you are online.";

/** Signs out at once, and says on the page for signing in if the server could not be reached. */
export function useSignOut() {
  const navigate = useNavigate();
  return async () => {
    await session.signOut().catch(() => navigate("/sign-in", { replace: true, state: { notice: NOT_SIGNED_OUT } }));
  };
}
