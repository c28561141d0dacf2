
const LIMITS = `query Limits { server { passwordMinLength } }`;
const RESET = `mutation ResetPassword($input: ResetPasswordInput!) {
  result: resetPassword(input: $input) {
    __typename
    ... on UserChanged { user { email } }
    ... on InvalidInput { issues { message } }
    ... on Problem { message }
  }
}`;

const password = document.querySelector("#password");
const issues = document.querySelector("#issues");

document.querySelector("#show").addEventListener("change", ({ target }) => {
  password.type = target.checked ? "text" : "password";
});

password.addEventListener("input", () => showIssues([]));

ask(LIMITS).then(({ data }) => {
  if (!data?.server) return;
  password.minLength = data.server.passwordMinLength;
  document.querySelector("#hint").textContent =
    `At least ${data.server.passwordMinLength} characters, and not easy to guess.`;
});

onSubmit(async () => {
  const answer = await ask(RESET, { input: { token, newPassword: password.value, delivery } });
  const result = answer.data?.result;
  if (result?.__typename === "InvalidInput") return refuse(result.issues);
  if (result?.__typename !== "UserChanged") return fail(answer);
  finish("Your password is set", `You can sign in as ${result.user.email} with it now.`);
});

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
