import type { ReactNode } from "react";
import { linkToken } from "../linkToken";
import { Page } from "./Page";

interface LinkPageProps {
  title: string;
  /** Acts only when its button is pressed: programs that scan emails open links too. */
  form: (token: string) => ReactNode;
  children: ReactNode;
}

/** A page that an emailed link leads to. */
export function LinkPage({ title, form, children }: LinkPageProps) {
  return (
    <Page title={title}>
      {linkToken === null ? <p>Open the link in the email that you received.</p> : form(linkToken)}
      <nav aria-label="More" className="links">{children}</nav>
    </Page>
  );
}
