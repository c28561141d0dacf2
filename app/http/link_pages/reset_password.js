
const LIMITS = `query Limits { server { passwordMinLength } }`;
const RESET = `mutation ResetPassword($input: ResetPasswordInput!) {
  result: resetPassword(input: $input) {
    __typename
    ... on UserChanged { user { email } }
    ... on InvalidInput { issues { message } }
    ... on Problem { message }
  }
}`;

// Over http, browsers keep the cookie on loopback only.
const delivery = isSecureContext ? "COOKIE" : "BODY";

const password = form.querySelector("#password");
const issues = form.querySelector("#issues");

form.querySelector("#show").addEventListener("change", ({ target }) => {
  password.type = target.checked ? "text" : "password";
});

password.addEventListener("input", () => showIssues([]));

if (token) showLimits();

onSubmit(() => exclusively(reset));

async function showLimits() {
  const { data } = await ask(LIMITS);
  if (!data?.server) return;
  password.minLength = data.server.passwordMinLength;
  form.querySelector("#hint").textContent =
    `At least ${data.server.passwordMinLength} characters, and not easy to guess.`;
}

async function reset() {
  const answer = await ask(RESET, { input: { token, newPassword: password.value, delivery } });
  const result = answer.data?.result;
  if (result?.__typename === "InvalidInput") return refuse(result.issues);
  if (result?.__typename !== "UserChanged") return fail(answer);
  finish("Your password is set", `You can sign in as ${result.user.email} with it now.`);
}

/** Does this while no tab of this origin with @portico/client changes the cookie. */
function exclusively(work) {
  const name = `portico ${ENDPOINT.origin}${ENDPOINT.pathname}`;
  return navigator.locks ? navigator.locks.request(name, work) : work();
}

function refuse(found) {
  showIssues(found);
  password.focus();
}

function showIssues(found) {
  password.ariaInvalid = String(found.length > 0);
  issues.replaceChildren(
    ...found.map(({ message }) => {
      const item = document.createElement("li");
      item.textContent = message;
      return item;
    }),
  );
}
