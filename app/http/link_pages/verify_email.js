
const VERIFY = `mutation VerifyEmail($input: TokenInput!) {
  result: verifyEmail(input: $input) {
    __typename
    ... on SignedIn { user { email } tokens { accessToken } }
    ... on Problem { message }
  }
}`;
const SIGN_OUT = `mutation SignOut { logout { sessionsEnded } }`;

onSubmit(async () => {
  const answer = await ask(VERIFY, { input: { token } });
  const result = answer.data?.result;
  if (result?.__typename !== "SignedIn") return fail(answer);
  // Nobody would keep the tokens of the session that has begun.
  await ask(SIGN_OUT, {}, { Authorization: `Bearer ${result.tokens.accessToken}` });
  finish(
    "Your email address is verified",
    `You can sign in as ${result.user.email} now. If you get another email with a link to choose a ` +
      "password, open that link first.",
  );
});
