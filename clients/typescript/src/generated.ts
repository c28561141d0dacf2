/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** A new password, confirmed with the current one. */
export type ChangePasswordInput = {
  /** The current password. */
  currentPassword: string;
  /** Whether other sessions stay signed in. The current one always does. */
  keepOtherSessions?: boolean;
  /** 8 to 256 characters of any kind, and not easy to guess. */
  newPassword: string;
};

/** What is wrong with one part of an input. */
export type InputIssueCode =
  /** Its format is invalid, it has characters that are not allowed, or it is a time out of range. */
  | 'INVALID_FORMAT'
  /** The password is known from a breach. */
  | 'PASSWORD_BREACHED'
  /** The password is among the first that an attacker would guess. */
  | 'PASSWORD_TOO_GUESSABLE'
  /** It is empty and must not be. */
  | 'REQUIRED'
  /** It has too many characters. */
  | 'TOO_LONG'
  /** It has too few characters. */
  | 'TOO_SHORT'
  /** It is the same as before. */
  | 'UNCHANGED';

/** An email address and a password. */
export type LoginInput = {
  /** The address of the account, in any spelling. */
  email: string;
  /** The password. */
  password: string;
};

/** The session to refresh. */
export type RefreshSessionInput = {
  /** The latest refresh token. */
  refreshToken: string;
};

/** A new account. */
export type RegisterInput = {
  /** The display name, up to 100 characters; may be omitted, null or empty. */
  displayName?: string | null | undefined;
  /** Up to 254 bytes; letters of any script; case does not matter. */
  email: string;
  /** 8 to 256 characters of any kind, and not easy to guess. */
  password: string;
};

/** What a user may do. */
export type Role =
  /** May see and change all users. */
  | 'ADMIN'
  /** May see and change their own account. */
  | 'MEMBER';

/** Why a session is over. */
export type SessionEndReason =
  /** It expired. */
  | 'EXPIRED'
  /** Its owner signed out. */
  | 'LOGGED_OUT'
  /** The password was changed. */
  | 'PASSWORD_CHANGED'
  /** Its owner ended it from another session or an administrator ended it, newer sessions replaced it, the server requires verified addresses now, or SECRET_KEY leaked. */
  | 'REVOKED'
  /** The account is suspended. */
  | 'SUSPENDED'
  /** A refresh token was used a second time: it was copied. */
  | 'TOKEN_REUSED'
  /** The refresh token does not exist, or no longer does. */
  | 'UNKNOWN_TOKEN';

/** The token of an emailed link. */
export type TokenInput = {
  /** The part of the link that begins with `pot_`. */
  token: string;
};

export type SignInMutationVariables = Exact<{
  input: LoginInput;
}>;


export type SignInMutation = { result:
    | { __typename: 'EmailNotVerified', message: string }
    | { __typename: 'InvalidCredentials', message: string }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
    | { __typename: 'SignedIn', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string, deviceToken: string | null } }
   };

export type RegisterMutationVariables = Exact<{
  input: RegisterInput;
}>;


export type RegisterMutation = { result:
    | { __typename: 'EmailTaken', message: string }
    | { __typename: 'InvalidInput', message: string, issues: Array<{ path: Array<string>, code: InputIssueCode, message: string, limit: number | null }> }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
    | { __typename: 'SignedIn', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string, deviceToken: string | null } }
    | { __typename: 'VerificationSent', message: string }
   };

export type VerifyEmailMutationVariables = Exact<{
  input: TokenInput;
}>;


export type VerifyEmailMutation = { result:
    | { __typename: 'RateLimited', retryAfter: number, message: string }
    | { __typename: 'SignedIn', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string, deviceToken: string | null } }
    | { __typename: 'TokenInvalid', message: string }
   };

export type ChangePasswordMutationVariables = Exact<{
  input: ChangePasswordInput;
}>;


export type ChangePasswordMutation = { result:
    | { __typename: 'InvalidCredentials', message: string }
    | { __typename: 'InvalidInput', message: string, issues: Array<{ path: Array<string>, code: InputIssueCode, message: string, limit: number | null }> }
    | { __typename: 'PasswordChanged', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string, deviceToken: string | null } }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
   | null };

export type RefreshMutationVariables = Exact<{
  input: RefreshSessionInput;
}>;


export type RefreshMutation = { result:
    | { __typename: 'RateLimited', retryAfter: number, message: string }
    | { __typename: 'SessionEnded', reason: SessionEndReason, message: string }
    | { __typename: 'SignedIn', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string, deviceToken: string | null } }
   };

export type SignOutMutationVariables = Exact<{ [key: string]: never; }>;


export type SignOutMutation = { result: { sessionsEnded: number } | null };

export type SignOutEverywhereMutationVariables = Exact<{ [key: string]: never; }>;


export type SignOutEverywhereMutation = { result: { sessionsEnded: number } | null };

export type SessionFragment = { user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string, deviceToken: string | null } };

export type UserFragment = { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role };

export type TokensFragment = { accessToken: string, accessTokenExpiresIn: number, refreshToken: string, deviceToken: string | null };

type Problem_EmailNotVerified_Fragment = { message: string };

type Problem_EmailTaken_Fragment = { message: string };

type Problem_InvalidCredentials_Fragment = { message: string };

type Problem_InvalidInput_Fragment = { message: string, issues: Array<{ path: Array<string>, code: InputIssueCode, message: string, limit: number | null }> };

type Problem_LastAdministrator_Fragment = { message: string };

type Problem_NotFound_Fragment = { message: string };

type Problem_RateLimited_Fragment = { retryAfter: number, message: string };

type Problem_SessionEnded_Fragment = { message: string };

type Problem_TokenInvalid_Fragment = { message: string };

export type ProblemFragment =
  | Problem_EmailNotVerified_Fragment
  | Problem_EmailTaken_Fragment
  | Problem_InvalidCredentials_Fragment
  | Problem_InvalidInput_Fragment
  | Problem_LastAdministrator_Fragment
  | Problem_NotFound_Fragment
  | Problem_RateLimited_Fragment
  | Problem_SessionEnded_Fragment
  | Problem_TokenInvalid_Fragment
;

const Session = "fragment Session on SignedIn{user{...User}tokens{...Tokens}}";
const User = "fragment User on User{id email emailVerified displayName role}";
const Tokens = "fragment Tokens on Tokens{accessToken accessTokenExpiresIn refreshToken deviceToken}";
const Problem = "fragment Problem on Problem{message ...on InvalidInput{issues{path code message limit}}...on RateLimited{retryAfter}}";
export const documents = {
  SignIn: "mutation SignIn($input:LoginInput!){result:login(input:$input){__typename ...Session ...Problem}}" + Session + User + Tokens + Problem,
  Register: "mutation Register($input:RegisterInput!){result:register(input:$input){__typename ...Session ...Problem ...on VerificationSent{message}}}" + Session + User + Tokens + Problem,
  VerifyEmail: "mutation VerifyEmail($input:TokenInput!){result:verifyEmail(input:$input){__typename ...Session ...Problem}}" + Session + User + Tokens + Problem,
  ChangePassword: "mutation ChangePassword($input:ChangePasswordInput!){result:changePassword(input:$input){__typename ...on PasswordChanged{user{...User}tokens{...Tokens}}...Problem}}" + User + Tokens + Problem,
  Refresh: "mutation Refresh($input:RefreshSessionInput!){result:refreshSession(input:$input){__typename ...Session ...Problem ...on SessionEnded{reason}}}" + Session + User + Tokens + Problem,
  SignOut: "mutation SignOut{result:logout{sessionsEnded}}",
  SignOutEverywhere: "mutation SignOutEverywhere{result:logoutEverywhere{sessionsEnded}}",
};