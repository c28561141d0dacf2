import { ApolloProvider } from "@apollo/client/react";
import { signalAcceptedPasskeys } from "@portico/client/passkeys";
import { useSession } from "@portico/client/react";
import { Suspense, useEffect, useState } from "react";
import { Link, Navigate, NavLink, Outlet, useLocation } from "react-router";
import { createClient } from "../apollo";
import { useMe } from "../me";
import type { MemberState } from "../memberState";
import { session } from "../session";
import { useSignOut } from "../useSignOut";
import { Connecting } from "./Connecting";
import { StepUpDialog } from "./StepUpDialog";

/** The pages for signed-in users. */
export function MemberLayout() {
  const { status, user } = useSession(session);
  const { pathname, search } = useLocation();
  switch (status) {
    case "loading":
      return <Connecting />;
    case "signedOut":
      return <Navigate to="/sign-in" replace state={{ from: pathname + search }} />;
    case "signedIn":
      // The key gives each user an empty cache and fresh pages, also when another tab signs in as somebody else.
      return <Member key={user?.id} />;
  }
}

function Member() {
  const [client] = useState(createClient);
  useEffect(() => void signalAcceptedPasskeys(session), []); // the browser then offers no passkey that was removed elsewhere
  return (
    <ApolloProvider client={client}>
      <Suspense>
        <Frame />
      </Suspense>
    </ApolloProvider>
  );
}

function Frame() {
  const me = useMe();
  const signOut = useSignOut();
  const { pathname } = useLocation();
  if (me.mustEnroll && pathname !== "/security") return <Navigate to="/security" replace />;
  return (
    <div className="frame">
      <header>
        <p className="brand">Portico</p>
        <nav aria-label="Main">
          {!me.mustEnroll && (
            <>
              <NavLink to="/">Profile</NavLink>
              <NavLink to="/email">Email</NavLink>
              <NavLink to="/password">Password</NavLink>
            </>
          )}
          <NavLink to="/security">Security</NavLink>
          {!me.mustEnroll && <NavLink to="/sessions">Sessions</NavLink>}
          {!me.mustEnroll && me.role === "ADMIN" && <NavLink to="/users">Users</NavLink>}
        </nav>
        <div className="account">
          <p>{me.displayName ?? me.email}</p>
          <button className="quiet" onClick={() => signOut()}>Sign out</button>
        </div>
      </header>
      <main>
        <RecoveryCodeNotice />
        <Suspense fallback={<p>Loading…</p>}>
          <Outlet />
        </Suspense>
      </main>
      <StepUpDialog />
    </div>
  );
}

/** After a sign-in with a recovery code, until another page is opened. */
function RecoveryCodeNotice() {
  const { recoveryCodesLeft } = useMe();
  const state = useLocation().state as MemberState | null;
  return (
    // Browsers keep the state of a page, but a reload has another origin of its times.
    state?.recoveryCodeUsedIn === performance.timeOrigin && (
      <p role="status" className="card">
        You signed in with a recovery code. Codes that are left: {recoveryCodesLeft ?? 0}.{" "}
        <Link to="/security">Replace a lost device, or make new codes</Link>
      </p>
    )
  );
}
