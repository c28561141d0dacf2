"""People in the model test, with what each of them knows, and what they ask the server for."""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import httpx
from fastapi import FastAPI

from app.mail.mailer import Message
from app.testing.clients import Api
from tests.factors.model.account import Challenge, Registration, Session
from tests.support.authenticator import Authenticator
from tests.support.passkeys import SoftwareAuthenticator

REFRESH = """
mutation ($input: RefreshSessionInput!) { refreshSession(input: $input) {
  __typename
  ... on SignedIn { session { id } tokens { accessToken refreshToken } }
} }
"""
CHANGE_PASSWORD = """
mutation ($input: ChangePasswordInput!) { changePassword(input: $input) {
  __typename
  ... on PasswordChanged { tokens { accessToken refreshToken deviceToken } }
} }
"""
RESET_PASSWORD = """
mutation ($input: ResetPasswordInput!) { resetPassword(input: $input) {
  __typename
  ... on UserChanged { deviceToken }
} }
"""
VERIFY_EMAIL = """
mutation ($input: VerifyEmailInput!) { verifyEmail(input: $input) {
  __typename
  ... on ChallengeRequired { challenge { token } }
  ... on SignedIn { session { id } tokens { accessToken refreshToken deviceToken } }
} }
"""
CONFIRM_EMAIL_CHANGE = """
mutation ($input: TokenInput!) { confirmEmailChange(input: $input) {
  __typename
  ... on UserChanged { user { email } }
} }
"""
REQUEST_EMAIL_CHANGE = """
mutation ($input: RequestEmailChangeInput!) { requestEmailChange(input: $input) { __typename } }
"""
REQUEST_PASSWORD_RESET = """
mutation ($input: EmailInput!) { requestPasswordReset(input: $input) { __typename } }
"""
REQUEST_VERIFICATION = """
mutation ($input: EmailInput!) { requestEmailVerification(input: $input) { __typename } }
"""
RENEW_CODES = "mutation { renewRecoveryCodes { __typename codes } }"
REMOVE_FACTOR = """
mutation ($input: RemoveFactorInput!) { removeFactor(input: $input) { __typename } }
"""
STEP_UP = """
mutation ($input: StepUpInput!) { stepUp(input: $input) {
  __typename
  ... on SteppedUp { session { id } }
} }
"""
RESET_FACTORS = """
mutation ($input: ResetUserFactorsInput!) { resetUserFactors(input: $input) { __typename } }
"""
SUSPEND = "mutation ($input: SuspendUserInput!) { suspendUser(input: $input) { __typename } }"
REINSTATE = "mutation ($input: UserInput!) { reinstateUser(input: $input) { __typename } }"
END_SESSIONS = "mutation ($input: UserInput!) { endUserSessions(input: $input) { __typename } }"
FACTORS = """
query ($id: ID!) { user(by: {id: $id}) { email emailVerified factors { id } recoveryCodesLeft } }
"""
STATE_OF_ME = "query { me { __typename factors { id } } }"

LINK = re.compile(r"/([\w-]+)#token=(pot_[A-Za-z0-9_-]{43})")


class Kind(Enum):
    """What a link does."""

    VERIFY = "VERIFY"
    RESET = "RESET"
    CHANGE_EMAIL = "CHANGE_EMAIL"
    UNDO = "UNDO"


@dataclass(eq=False)
class Link:
    """A link in an email."""

    kind: Kind
    token: str
    to: str
    # How often a first factor had been added to the account when it was sent.
    first_factors: int
    is_used: bool = False


PAGES = {
    "verify-email": Kind.VERIFY,
    "reset-password": Kind.RESET,
    "confirm-email": Kind.CHANGE_EMAIL,
}


@dataclass(eq=False)
class Actor:
    """A person with a browser of their own, and what they know."""

    guest: Api
    http: httpx.AsyncClient
    passwords: set[str] = field(default_factory=set[str])
    apps: list[Authenticator] = field(default_factory=list[Authenticator])
    devices: list[SoftwareAuthenticator] = field(default_factory=list[SoftwareAuthenticator])
    codes: list[str] = field(default_factory=list[str])
    sessions: list[Session] = field(default_factory=list[Session])
    challenges: list[Challenge] = field(default_factory=list[Challenge])
    mailboxes: set[str] = field(default_factory=set[str])
    # The secret that was shown to them last, by session.
    shown: dict[str, Authenticator] = field(default_factory=dict[str, Authenticator])
    # The passkey that they have made last, by session.
    registrations: dict[str, Registration] = field(default_factory=dict[str, Registration])

    @classmethod
    def of(cls, app: FastAPI) -> "Actor":
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        http = httpx.AsyncClient(transport=transport, base_url="http://portico")
        return cls(Api(http), http)

    def with_session(self, session: Session) -> Api:
        return self.guest.with_bearer(session.access_token)

    def remember_device(self, answer: dict[str, Any]) -> None:
        """Keep the device token of an answer, as a browser does."""
        token = answer.get("deviceToken") or answer.get("tokens", {}).get("deviceToken")
        if token:
            self.http.headers["Portico-Device"] = token


def links_in(messages: list[Message], first_factors: int) -> list[Link]:
    """Returns the links in emails."""
    found: list[Link] = []
    for message in messages:
        match = LINK.search(message.text)
        if match:
            kind = _kind(match[1], message.subject)
            found.append(Link(kind, match[2], message.to, first_factors))
    return found


def _kind(page: str, subject: str) -> Kind:
    if subject == "Your email address was changed":
        return Kind.UNDO
    return PAGES[page]
