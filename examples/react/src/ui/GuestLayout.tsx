import { Navigate, Outlet, useLocation } from "react-router";
import { useSession } from "@portico/client/react";
import { session } from "../session";

/** The pages that anybody may open, such as those of emailed links. */
export function CardLayout() {
  return (
    <main className="narrow">
      <p className="brand">Portico</p>
      <div className="card">
        <Outlet />
      </div>
    </main>
  );
}

/** What the page before tells: where people wanted to go, and what they should know. */
export const useGuestState = () => (useLocation().state ?? {}) as { from?: string; notice?: string };

/** The pages that only make sense before sign-in. Whoever is signed in, or signs in here, goes where they wanted to go. */
export function GuestLayout() {
  const { status } = useSession(session);
  const { from = "/" } = useGuestState();
  switch (status) {
    case "loading":
      return null;
    case "signedIn":
      return <Navigate to={from} replace />;
    case "signedOut":
      return <CardLayout />;
  }
}
