
// What all pages share. The script of the page follows in the same module.
const ENDPOINT = new URL("graphql", location.href);
const UNREACHABLE = "The server could not be reached. Try again.";
const WITHOUT_TOKEN = "This page needs the link of an email. Open the link again.";

const form = document.querySelector("form");
const alertText = document.querySelector("[role=alert]");
const button = document.querySelector("button");
const token = new URLSearchParams(location.hash.slice(1)).get("token");

// The token must not stay in the address bar and the history, where others could read it.
history.replaceState(null, "", location.pathname);
// Another link, opened in this tab, changes only the fragment.
addEventListener("hashchange", () => location.reload());
if (!token) leave(WITHOUT_TOKEN);

/** Returns the answer to an operation; its `errors` say so if the server could not be reached. */
async function ask(query, variables = {}, { headers, ...init } = {}) {
  try {
    const response = await fetch(ENDPOINT, {
      method: "POST",
      headers: {
        Accept: "application/graphql-response+json, application/json;q=0.9",
        "Content-Type": "application/json",
        ...headers,
      },
      body: JSON.stringify({ query, variables }),
      ...init,
    });
    return await response.json();
  } catch {
    return { errors: [{ message: UNREACHABLE }] };
  }
}

/** Runs `act` when the button is pressed, not before: scanners of emails open links too. */
function onSubmit(act) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    alertText.textContent = "";
    await act();
    button.ariaDisabled = "false";
  });
}

/** Shows why the operation did nothing. */
function fail({ data, errors }) {
  const result = data?.result;
  if (result?.__typename === "TokenInvalid") return leave(result.message);
  alertText.textContent = result?.message ?? errors?.[0]?.message ?? UNREACHABLE;
}

function leave(text) {
  form.remove();
  alertText.textContent = text;
}

function finish(title, text) {
  form.remove();
  const done = document.querySelector("#done");
  const heading = done.querySelector("h1");
  done.hidden = false;
  heading.textContent = title;
  done.querySelector("[role=status]").textContent = text;
  document.title = title;
  heading.focus();
}
