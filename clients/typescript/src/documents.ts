// What a session asks of Portico. The types of the answers are generated from these texts.
import { mutation, PROBLEM } from "./selections.js";

const SESSION =
  "{user{id email emailVerified displayName role}tokens{accessToken accessTokenExpiresIn refreshToken}}";
const SIGNED_IN = `${PROBLEM}...on SignedIn${SESSION}`;
const SIGNED_IN_OR_CHALLENGE = `${SIGNED_IN}...on ChallengeRequired{challenge{token methods expiresAt}}`;

export const login = mutation("Login", SIGNED_IN_OR_CHALLENGE);
export const register = mutation("Register", `${SIGNED_IN}...on VerificationSent{message}`);
export const verifyEmail = mutation("VerifyEmail", SIGNED_IN_OR_CHALLENGE);
export const answerChallenge = mutation("AnswerChallenge", SIGNED_IN);
export const signInWithPasskey = mutation("SignInWithPasskey", SIGNED_IN);
export const changePassword = mutation("ChangePassword", `${PROBLEM}...on PasswordChanged${SESSION}`);
export const refreshSession = mutation("RefreshSession", `${SIGNED_IN}...on SessionEnded{reason}`);
export const logout = mutation("Logout");
