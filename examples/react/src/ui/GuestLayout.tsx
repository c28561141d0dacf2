import { useSession } from "@portico/client/react";
import { Navigate, Outlet, useLocation } from "react-router";
import { session } from "../session";
import { Connecting } from "./Connecting";

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

/** What the page before passed on: the page that was asked for, and what to tell. */
export const useGuestState = () => (useLocation().state ?? {}) as { from?: string; notice?: string };

/** The pages for before sign-in. Users who are signed in, or sign in here, are redirected to the page they asked for. */
export function GuestLayout() {
  const { status } = useSession(session);
  const { from = "/" } = useGuestState();
  switch (status) {
    case "loading":
      return <Connecting />;
    case "signedIn":
      return <Navigate to={from} replace />;
    case "signedOut":
      return <CardLayout />;
  }
}
