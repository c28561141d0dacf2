
const CONFIRM = `mutation ConfirmEmailChange($input: TokenInput!) {
  result: confirmEmailChange(input: $input) {
    __typename
    ... on UserChanged { user { email } }
    ... on Problem { message }
  }
}`;

onSubmit(async () => {
  const answer = await ask(CONFIRM, { input: { token } });
  const result = answer.data?.result;
  if (result?.__typename !== "UserChanged") return fail(answer);
  finish("The email address is confirmed", `The address of the account is ${result.user.email}.`);
});
