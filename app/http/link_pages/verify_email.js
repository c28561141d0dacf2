
const VERIFY = `mutation VerifyEmail($input: VerifyEmailInput!) {
  result: verifyEmail(input: $input) {
    __typename
    ... on SignedIn { user { email } tokens { accessToken } }
    ... on Problem { message }
  }
}`;
const VERIFIED = "Your email address is verified";
const WITH_CODE = "You can sign in now, with your password and a code of your authenticator app.";
const SIGN_OUT = `mutation SignOut { logout { sessionsEnded } }`;

onSubmit(async () => {
  // With the cookie, if there is one: it shows that this is the browser of the account. The answer
  // leaves it as it is: a stranger may have sent the link, and must not change the session.
  const answer = await ask(VERIFY, { input: { token, delivery: "BODY" } });
  const result = answer.data?.result;
  if (result?.__typename === "ChallengeRequired") return finish(VERIFIED, WITH_CODE);
  if (result?.__typename !== "SignedIn") return fail(answer);
  await signOut(result.tokens.accessToken);
  finish(
    VERIFIED,
    `The address is ${result.user.email}. You can sign in now. If you get another email with a ` +
      "link to choose a password, open that link first.",
  );
});

/** Ends the session that the verification started, and not that of the cookie. */
async function signOut(accessToken) {
  const headers = { Authorization: `Bearer ${accessToken}` };
  await ask(SIGN_OUT, {}, { headers, credentials: "omit" });
}
