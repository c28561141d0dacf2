import { ApolloProvider } from "@apollo/client/react";
import { useSession } from "@portico/client/react";
import { Suspense, useState } from "react";
import { Navigate, NavLink, Outlet, useLocation } from "react-router";
import { createClient } from "../apollo";
import { useMe } from "../me";
import { session } from "../session";
import { useSignOut } from "../useSignOut";
import { Connecting } from "./Connecting";

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
  return (
    <div className="frame">
      <header>
        <p className="brand">Portico</p>
        <nav aria-label="Main">
          <NavLink to="/">Profile</NavLink>
          <NavLink to="/email">Email</NavLink>
          <NavLink to="/password">Password</NavLink>
          <NavLink to="/sessions">Sessions</NavLink>
          {me.role === "ADMIN" && <NavLink to="/users">Users</NavLink>}
        </nav>
        <div className="account">
          <p>{me.displayName ?? me.email}</p>
          <button className="quiet" onClick={() => signOut()}>Sign out</button>
        </div>
      </header>
      <main>
        <Suspense fallback={<p>Loading…</p>}>
          <Outlet />
        </Suspense>
      </main>
    </div>
  );
}
