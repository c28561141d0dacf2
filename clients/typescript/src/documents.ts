// What this package asks of Portico. The types of the answers are generated from these texts.

const SESSION =
  "{user{id email emailVerified displayName role}tokens{accessToken accessTokenExpiresIn refreshToken}}";
const PROBLEM =
  "...on Problem{message ...on InvalidInput{issues{path code message limit}}...on RateLimited{retryAfter}}";
const SIGNED_IN = `${PROBLEM}...on SignedIn${SESSION}`;
const SIGNED_IN_OR_CHALLENGE = `${SIGNED_IN}...on ChallengeRequired{challenge{token methods expiresAt}}`;

/** Each mutation has one input, whose type is named after it. */
function mutation(name: string, selection = "") {
  const field = name[0]?.toLowerCase() + name.slice(1);
  return `mutation ${name}($i:${name}Input!){result:${field}(input:$i){__typename ${selection}}}`;
}

export const login = mutation("Login", SIGNED_IN_OR_CHALLENGE);
export const register = mutation("Register", `${SIGNED_IN}...on VerificationSent{message}`);
export const verifyEmail = mutation("VerifyEmail", SIGNED_IN_OR_CHALLENGE);
export const answerChallenge = mutation("AnswerChallenge", SIGNED_IN);
export const changePassword = mutation("ChangePassword", `${PROBLEM}...on PasswordChanged${SESSION}`);
export const refreshSession = mutation("RefreshSession", `${SIGNED_IN}...on SessionEnded{reason}`);
export const logout = mutation("Logout");
