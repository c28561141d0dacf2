import { useRouteError } from "react-router";
import { explain } from "../results";
import { Page } from "./Page";

/** Shown where a query of a page failed. */
export function Failure() {
  const error = useRouteError();
  return (
    <Page title="This page could not be loaded">
      <p role="alert">{explain(error)}</p>
      <button onClick={() => { location.reload(); }}>Try again</button>
    </Page>
  );
}
