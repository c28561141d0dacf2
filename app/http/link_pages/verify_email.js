
const VERIFY = `mutation VerifyEmail($input: VerifyEmailInput!) {
  result: verifyEmail(input: $input) {
    __typename
    ... on SignedIn { user { email } tokens { accessToken } }
    ... on Problem { message }
  }
}`;
const SIGN_OUT = `mutation SignOut { logout { sessionsEnded } }`;

onSubmit(() => exclusively(verify));

async function verify() {
  const answer = await ask(VERIFY, { input: { token, delivery } });
  const result = answer.data?.result;
  if (result?.__typename !== "SignedIn") return fail(answer);
  // Nobody would have the tokens of the session that has begun.
  if (delivery === "BODY") await ask(SIGN_OUT, {}, result.tokens.accessToken);
  finish(
    "Your email address is verified",
    `The address is ${result.user.email}. If you get another email with a link to choose a ` +
      "password, open that link too.",
  );
}

/** Does this while no page with @portico/client changes the cookie. */
function exclusively(work) {
  const name = `portico ${ENDPOINT.origin}${ENDPOINT.pathname}`;
  return navigator.locks ? navigator.locks.request(name, work) : work();
}
