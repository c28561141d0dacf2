import { useNavigate } from "react-router";
import { session } from "./session";

const NOT_TOLD = "You are signed out on this page, but the server could not be told. Sign in and out again when you are online.";

/** Signs out at once, and says on the page for signing in if the server could not be told. */
export function useSignOut() {
  const navigate = useNavigate();
  return async (options?: { everywhere: boolean }) => {
    await session.signOut(options).catch(() => navigate("/sign-in", { replace: true, state: { notice: NOT_TOLD } }));
  };
}
