/** Takes the token of an emailed link out of the address bar and the history, before anything else runs. */
function take(): string | null {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token !== null) history.replaceState(history.state, "", location.pathname);
  return token;
}

export const linkToken = take();

// A link that is pasted into this page changes nothing but the fragment: start again with it.
addEventListener("hashchange", () => {
  location.reload();
});
