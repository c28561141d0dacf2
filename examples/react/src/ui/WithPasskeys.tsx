import { useQuery } from "@apollo/client/react";
import { passkeysSupported } from "@portico/client/passkeys";
import type { ReactNode } from "react";
import { graphql } from "../gql";

const SignInMethods = graphql(`
  query SignInMethods {
    server {
      signInMethods
    }
  }
`);

const IP_ADDRESS = /^([\d.]+|\[.*\])$/;
const LOOPBACK = /^(127\..*|\[::1\])$/;

/** Whether people can sign in to this server with passkeys. */
export const useServerHasPasskeys = () => useQuery(SignInMethods).data?.server.signInMethods.includes("PASSKEY");

/** What uses passkeys, or the reason why this page cannot. */
export function WithPasskeys({ children }: { children: ReactNode }) {
  const { hostname, port, pathname } = location;
  if (IP_ADDRESS.test(hostname))
    return (
      <p className="minor">
        Passkeys belong to a domain, so browsers do not allow them at an IP address.{" "}
        {LOOPBACK.test(hostname) && <a href={`http://localhost:${port}${pathname}`}>Open this page at localhost</a>}
      </p>
    );
  if (!passkeysSupported()) return <p className="minor">This browser does not support passkeys.</p>;
  return children;
}
