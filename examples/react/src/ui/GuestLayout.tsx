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

/** The pages that only make sense before sign-in. Whoever is signed in, or signs in here, goes where they wanted to go. */
export function GuestLayout() {
  const { status } = useSession(session);
  const location = useLocation() as { state: { from?: string } | null };
  switch (status) {
    case "loading":
      return null;
    case "signedIn":
      return <Navigate to={location.state?.from ?? "/"} replace />;
    case "signedOut":
      return <CardLayout />;
  }
}
