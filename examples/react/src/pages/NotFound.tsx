import { Link } from "react-router";
import { Page } from "../ui/Page";

export function NotFound() {
  return (
    <Page title="This page does not exist">
      <Link to="/">To your profile</Link>
    </Page>
  );
}
