"""An authenticator app, and what a user does with it."""

from base64 import b32decode
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from app.database.database import Database
from app.security import totp
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock

BEGIN = """
mutation { beginTotpEnrollment {
  __typename
  ... on TotpEnrollment { secret otpauthUri expiresAt }
  ... on Problem { message }
} }
"""
CONFIRM = """
mutation ($code: String!) { confirmTotpEnrollment(input: {code: $code}) {
  __typename
  ... on FactorAdded { recoveryCodes factor { id createdAt lastUsedAt } }
  ... on Problem { message }
} }
"""
LOGIN = """
mutation ($input: LoginInput!) { login(input: $input) {
  __typename
  ... on ChallengeRequired { challenge { token methods expiresAt } }
  ... on SignedIn { session { id methods } tokens { accessToken refreshToken deviceToken } }
  ... on Problem { message }
} }
"""
ANSWER = """
mutation ($input: AnswerChallengeInput!) { answerChallenge(input: $input) {
  __typename
  ... on SignedIn { session { id methods } tokens { accessToken refreshToken deviceToken } }
  ... on Problem { message }
} }
"""
STEP_UP = """
mutation ($answer: StepUpAnswer!) { stepUp(input: {answer: $answer}) {
  __typename
  ... on SteppedUp { session { id methods authenticatedAt } }
  ... on Problem { message }
} }
"""
RENEW = "mutation { renewRecoveryCodes { codes } }"
REMOVE = """
mutation ($id: ID!) { removeFactor(input: {factorId: $id}) {
  __typename ... on UserChanged { user { factors { id } recoveryCodesLeft } }
} }
"""
FACTORS = "{ me { factors { id lastUsedAt } recoveryCodesLeft } }"
EVENTS = text(
    "SELECT name, details FROM audit_events WHERE target_id IS NOT NULL"
    " AND name ~ '^(factor|recovery|challenge)' OR name = 'session.stepped_up' ORDER BY id"
)


@dataclass(slots=True)
class Authenticator:
    """An app with a secret, whose clock is that of the tests."""

    secret: str
    clock: FakeClock

    def code(self, drift: int = 0) -> str:
        """Returns the code of now, or of so many periods later."""
        step = int(self.clock().timestamp()) // totp.PERIOD_SECONDS + drift
        return totp.code_at(b32decode(self.secret), step).decode()

    def next_code(self) -> str:
        """Wait for a code that was not shown before, and return it."""
        self.clock.pass_(seconds=totp.PERIOD_SECONDS)
        return self.code()


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A person with a factor, and the session in which it was enrolled."""

    person: Person
    app: Authenticator
    codes: list[str]
    session: Api
    factor_id: str

    async def sign_in(self, guest: Api) -> Api:
        """Sign in with the password and a code."""
        token = await self.challenge(guest)
        signed_in = await answer(guest, token, totp=self.app.next_code())
        assert signed_in["__typename"] == "SignedIn", signed_in
        return guest.with_tokens(signed_in)

    async def enter(self, guest: Api, **given: str) -> str:
        """Enter the password and then this answer, and return what the answer is."""
        return (await answer(guest, await self.challenge(guest), **given))["__typename"]

    async def challenge(self, guest: Api) -> str:
        """Enter the password, and return the token of the challenge."""
        data = await guest(LOGIN, input=self.person.credentials)
        assert data["login"]["__typename"] == "ChallengeRequired", data
        return data["login"]["challenge"]["token"]


async def answer(guest: Api, token: str, **given: str) -> dict[str, Any]:
    """Answer a challenge, with `totp` or with `recoveryCode`."""
    return (await guest(ANSWER, input={"token": token, "answer": given}))["answerChallenge"]


async def step_up(client: Api, **given: str) -> str:
    """Step up with `totp` or `password`, and return what the answer is."""
    return (await client(STEP_UP, answer=given))["stepUp"]["__typename"]


async def events(db: Database) -> list[tuple[str, dict[str, str]]]:
    """Returns the names and details of the events about factors and challenges, oldest first."""
    return [(name, details) for name, details in await db.rows(EVENTS)]


async def verify(db: Database, person: Person) -> None:
    """Let a person have proved their address."""
    async with db.begin() as session:
        verified = text("UPDATE users SET email_verified = true WHERE email = :email")
        await session.execute(verified, {"email": person.email})


async def begin(client: Api, clock: FakeClock) -> Authenticator:
    """Ask for a secret, and put it into an app."""
    begun = (await client(BEGIN))["beginTotpEnrollment"]
    assert begun["__typename"] == "TotpEnrollment", begun
    return Authenticator(begun["secret"], clock)


async def enroll(guest: Api, db: Database, person: Person, clock: FakeClock) -> Enrolled:
    """Let a person sign in and enroll an authenticator app."""
    await verify(db, person)
    session = await guest.login(person)
    app = await begin(session, clock)
    added = (await session(CONFIRM, code=app.code()))["confirmTotpEnrollment"]
    return Enrolled(person, app, added["recoveryCodes"], session, added["factor"]["id"])
