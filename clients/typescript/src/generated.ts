/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** A challenge and its answer. */
export type AnswerChallengeInput = {
  /** The answer. */
  answer: ChallengeAnswer;
  /** Where the refresh and the device token go. */
  delivery?: TokenDelivery;
  /** The `token` of the challenge. */
  token: string;
};

/** A way in which a user proves who they are. */
export type AuthenticationMethod =
  /** A link in an email. */
  | 'EMAIL'
  /** A passkey (WebAuthn), whose device has verified the person. */
  | 'PASSKEY'
  /** The password. */
  | 'PASSWORD'
  /** A recovery code, for users who have lost their factor. */
  | 'RECOVERY_CODE'
  /** A code of an authenticator app (RFC 6238). */
  | 'TOTP';

/** A challenge to answer with a passkey. */
export type BeginPasskeyChallengeInput = {
  /** The `token` of the challenge. */
  token: string;
};

/** The answer to a challenge, in one of these ways. */
export type ChallengeAnswer =
  {   /** A passkey, after `beginPasskeyChallenge`. */
  passkey: PasskeyAnswer; recoveryCode?: never; totp?: never; }
  |  { passkey?: never;   /** One of the recovery codes, in any spelling. It works once. */
  recoveryCode: string; totp?: never; }
  |  { passkey?: never; recoveryCode?: never;   /** The code that the authenticator app shows now: 6 digits, with or without spaces. */
  totp: string; };

/** A new password, confirmed with the current one. */
export type ChangePasswordInput = {
  /** The current password. */
  currentPassword: string;
  /** Whether other sessions stay signed in. The current one always does. */
  keepOtherSessions?: boolean;
  /** 8 to 256 characters of any kind, and not easy to guess. */
  newPassword: string;
};

/** A new passkey. */
export type FinishPasskeyRegistrationInput = {
  /** The `ceremony` of the `PasskeyOptions` that the browser was given. It works once. */
  ceremony: string;
  /** What `toJSON()` of the browser's `PublicKeyCredential` returns. */
  credential: unknown;
  /** 1 to 100 characters. Omitted or empty: the name of the model if it is known, or that of the browser. */
  name?: string | null | undefined;
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
  /** Where the refresh and the device token go. */
  delivery?: TokenDelivery;
  /** The address of the account, in any spelling. */
  email: string;
  /** The password. */
  password: string;
};

/** A session to sign out of. */
export type LogoutInput = {
  /** A refresh token of the session, its latest or an earlier one, but none from before its password was changed. */
  refreshToken?: string | null | undefined;
};

/** A signature with a passkey. */
export type PasskeyAnswer = {
  /** The `ceremony` of the `PasskeyOptions` that the browser was given. It works once. */
  ceremony: string;
  /** What `toJSON()` of the browser's `PublicKeyCredential` returns. */
  credential: unknown;
};

/** The session to refresh. */
export type RefreshSessionInput = {
  /** The latest refresh token. If omitted, the one in the cookie. */
  refreshToken?: string | null | undefined;
};

/** A new account. */
export type RegisterInput = {
  /** Where the refresh and the device token go. */
  delivery?: TokenDelivery;
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
  /** The refresh token does not exist, or no longer does; or there is none. */
  | 'UNKNOWN_TOKEN';

/** A passkey to sign in with. */
export type SignInWithPasskeyInput = {
  /** The `ceremony` of the `PasskeyOptions` that the browser was given. It works once. */
  ceremony: string;
  /** What `toJSON()` of the browser's `PublicKeyCredential` returns. */
  credential: unknown;
  /** Where the refresh and the device token go. */
  delivery?: TokenDelivery;
};

/** A proof of who the user is, in one of these ways. */
export type StepUpAnswer =
  {   /** A passkey, after `beginPasskeyStepUp`. */
  passkey: PasskeyAnswer; password?: never; totp?: never; }
  |  { passkey?: never;   /** The password: enough only without a second factor. */
  password: string; totp?: never; }
  |  { passkey?: never; password?: never;   /** The code that the authenticator app shows now: 6 digits, with or without spaces. */
  totp: string; };

/** A proof of who the user is. */
export type StepUpInput = {
  /** The proof. */
  answer: StepUpAnswer;
};

/** Where the refresh token and the device token go. */
export type TokenDelivery =
  /** Into the answer. For apps that are not web pages, and for servers. */
  | 'BODY'
  /** Into a cookie that no script can read (HttpOnly, SameSite=Lax). For pages of the same site as this server whose origin is this server's own or named in CORS_ORIGINS; others get FORBIDDEN. */
  | 'COOKIE';

/** The token of a link that verifies an address. */
export type VerifyEmailInput = {
  /** Where the refresh and the device token go. */
  delivery?: TokenDelivery;
  /** The part of the link that begins with `pot_`. */
  token: string;
};

export type BeginPasskeyChallengeMutationVariables = Exact<{
  i: BeginPasskeyChallengeInput;
}>;


export type BeginPasskeyChallengeMutation = { result:
    | { __typename: 'ChallengeExpired', message: string }
    | { __typename: 'PasskeyOptions', ceremony: string, publicKey: unknown }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
   };

export type BeginPasskeyRegistrationMutationVariables = Exact<{ [key: string]: never; }>;


export type BeginPasskeyRegistrationMutation = { result: { ceremony: string, publicKey: unknown } | null };

export type BeginPasskeySignInMutationVariables = Exact<{ [key: string]: never; }>;


export type BeginPasskeySignInMutation = { result: { ceremony: string, publicKey: unknown } };

export type RefreshSessionMutationVariables = Exact<{
  i: RefreshSessionInput;
}>;


export type RefreshSessionMutation = { result:
    | { __typename: 'RateLimited', message: string, retryAfter: number }
    | { __typename: 'SessionEnded', message: string, reason: SessionEndReason }
    | { __typename: 'SignedIn', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string | null } }
   };

export type VerifyEmailMutationVariables = Exact<{
  i: VerifyEmailInput;
}>;


export type VerifyEmailMutation = { result:
    | { __typename: 'ChallengeRequired', challenge: { token: string, methods: Array<AuthenticationMethod>, expiresAt: string } }
    | { __typename: 'RateLimited', message: string, retryAfter: number }
    | { __typename: 'SignedIn', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string | null } }
    | { __typename: 'TokenInvalid', message: string }
   };

export type ChangePasswordMutationVariables = Exact<{
  i: ChangePasswordInput;
}>;


export type ChangePasswordMutation = { result:
    | { __typename: 'InvalidCredentials', message: string }
    | { __typename: 'InvalidInput', message: string, issues: Array<{ path: Array<string>, code: InputIssueCode, message: string, limit: number | null }> }
    | { __typename: 'PasswordChanged', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string | null } }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
   | null };

export type StepUpMutationVariables = Exact<{
  i: StepUpInput;
}>;


export type StepUpMutation = { result:
    | { __typename: 'InvalidCode', message: string }
    | { __typename: 'InvalidCredentials', message: string }
    | { __typename: 'PasskeyRefused', message: string }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
    | { __typename: 'SteppedUp', session: { authenticatedAt: string } }
   | null };

export type AcceptedPasskeysQueryVariables = Exact<{ [key: string]: never; }>;


export type AcceptedPasskeysQuery = { result: { acceptedPasskeys: { rpId: string, userId: string, allAcceptedCredentialIds: Array<string> } | null } | null };

export type SignInWithPasskeyMutationVariables = Exact<{
  i: SignInWithPasskeyInput;
}>;


export type SignInWithPasskeyMutation = { result:
    | { __typename: 'PasskeyRefused', message: string }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
    | { __typename: 'SignedIn', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string | null } }
   };

export type BeginPasskeyStepUpMutationVariables = Exact<{ [key: string]: never; }>;


export type BeginPasskeyStepUpMutation = { result: { ceremony: string, publicKey: unknown } | null };

export type FinishPasskeyRegistrationMutationVariables = Exact<{
  i: FinishPasskeyRegistrationInput;
}>;


export type FinishPasskeyRegistrationMutation = { result:
    | { __typename: 'FactorAdded', recoveryCodes: Array<string> | null, factor:
        | { name: string, isBackedUp: boolean, id: string, createdAt: string, lastUsedAt: string | null }
        | { id: string, createdAt: string, lastUsedAt: string | null }
       }
    | { __typename: 'InvalidInput', message: string, issues: Array<{ path: Array<string>, code: InputIssueCode, message: string, limit: number | null }> }
    | { __typename: 'PasskeyRefused', message: string }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
   | null };

export type RegisterMutationVariables = Exact<{
  i: RegisterInput;
}>;


export type RegisterMutation = { result:
    | { __typename: 'EmailTaken', message: string }
    | { __typename: 'InvalidInput', message: string, issues: Array<{ path: Array<string>, code: InputIssueCode, message: string, limit: number | null }> }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
    | { __typename: 'SignedIn', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string | null } }
    | { __typename: 'VerificationSent', message: string }
   };

export type LoginMutationVariables = Exact<{
  i: LoginInput;
}>;


export type LoginMutation = { result:
    | { __typename: 'ChallengeRequired', challenge: { token: string, methods: Array<AuthenticationMethod>, expiresAt: string } }
    | { __typename: 'EmailNotVerified', message: string }
    | { __typename: 'InvalidCredentials', message: string }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
    | { __typename: 'SignedIn', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string | null } }
   };

export type LogoutMutationVariables = Exact<{
  i: LogoutInput;
}>;


export type LogoutMutation = { result: { __typename: 'SignedOut' } | null };

export type AnswerChallengeMutationVariables = Exact<{
  i: AnswerChallengeInput;
}>;


export type AnswerChallengeMutation = { result:
    | { __typename: 'ChallengeExpired', message: string }
    | { __typename: 'InvalidCode', message: string }
    | { __typename: 'PasskeyRefused', message: string }
    | { __typename: 'RateLimited', retryAfter: number, message: string }
    | { __typename: 'SignedIn', user: { id: string, email: string, emailVerified: boolean, displayName: string | null, role: Role }, tokens: { accessToken: string, accessTokenExpiresIn: number, refreshToken: string | null } }
   };
