"""Signing in: `login`, and the result of a sign-in."""

from datetime import datetime
from typing import Annotated

import strawberry

from app import outcomes
from app.graphql.access import guest_field
from app.graphql.context import Info
from app.graphql.problems import Problem, RateLimited
from app.security.session_cookie import SessionCookie
from app.sessions import limits
from app.sessions.models import AuthenticationMethod
from app.sessions.schema.delivery import TokenDelivery, cookie_for, delivery_field
from app.sessions.schema.types import Session
from app.sessions.services import outcomes as session_outcomes
from app.sessions.services import sign_in as service
from app.sessions.services.sign_in import SignIn
from app.sessions.services.sign_out import SignOut
from app.users.schema import User
from app.users.services.viewer import Viewer


@strawberry.type(description="The tokens of a session. All of them are secret.")
class Tokens:
    access_token: str = strawberry.field(
        description="Send it as `Authorization: Bearer …`. A JWT (RFC 9068) that others can "
        "verify. Lifetime in minutes: ${access_token_expire_minutes}."
    )
    access_token_expires_at: datetime = strawberry.field(
        description="When the access token expires."
    )
    access_token_expires_in: int = strawberry.field(
        description="The lifetime of the access token in seconds from when it was issued, for "
        "clients whose clock is wrong."
    )
    refresh_token: str | None = strawberry.field(
        description="Null if it is in the cookie. "
        "Opaque; valid for one refresh, which returns the next. Send it nowhere else. "
        "Lifetime in days: ${refresh_token_expire_days}, of a session in all: ${session_max_days}."
    )
    refresh_token_expires_at: datetime = strawberry.field(
        description="When the session ends, unless it is refreshed before."
    )
    device_token: str | None = strawberry.field(
        description="Proof that this device has signed in to the account before; null if it is in "
        "the cookie, and after a refresh. Keep it after signing out too, and send it as "
        "`Portico-Device` with the next `login`: wrong passwords from other devices then do not "
        "lock this one out. It gives no access, and is invalid once the password changes."
    )

    @classmethod
    def of(cls, tokens: session_outcomes.Tokens, cookie: SessionCookie | None) -> "Tokens":
        """Returns the tokens of an answer; the long-lived ones go into the cookie, if there is one.

        Both are in one place only, or a script could read what the cookie hides.
        """
        refresh_token, device_token = tokens.refresh_token, tokens.device_token
        if cookie is not None:
            cookie.store(refresh_token, device_token)
            refresh_token, device_token = None, None
        return cls(
            access_token=tokens.access_token,
            access_token_expires_at=tokens.access_token_expires_at,
            access_token_expires_in=tokens.access_token_expires_in_seconds,
            refresh_token=refresh_token,
            refresh_token_expires_at=tokens.refresh_token_expires_at,
            device_token=device_token,
        )


@strawberry.type(description="Signed in: a new session and the tokens that belong to it.")
class SignedIn:
    user: User = strawberry.field(description="The user who signed in.")
    session: Session = strawberry.field(description="The new session, or the one that continues.")
    tokens: Tokens = strawberry.field(description="The tokens to use from now on.")

    @classmethod
    def of(
        cls, outcome: session_outcomes.SignedIn, info: Info, cookie: SessionCookie | None
    ) -> "SignedIn":
        # The rest of the response is for the user who signed in: they may see their own account.
        info.context.viewer = Viewer(outcome.user, outcome.session.id)
        return cls(
            user=User(row=outcome.user, now=info.context.clock()),
            session=Session(row=outcome.session, is_viewer_session=True),
            tokens=Tokens.of(outcome.tokens, cookie),
        )


@strawberry.type(
    description="The question for a second factor, which completes a sign-in. It ends with a "
    "change of the password, a reset, or a suspension."
)
class Challenge:
    token: str = strawberry.field(
        description="Send it to `answerChallenge`. Secret; it opens nothing else, and works once."
    )
    methods: list[AuthenticationMethod] = strawberry.field(description="What can answer it.")
    expires_at: datetime = strawberry.field(description="When it expires: after 10 minutes.")


@strawberry.type(
    description="The first proof was right, and the account has a second factor: continue with "
    "`answerChallenge`. Not a `Problem`, but a step of the sign-in."
)
class ChallengeRequired:
    challenge: Challenge = strawberry.field(description="What to answer.")

    @classmethod
    def of(cls, outcome: session_outcomes.ChallengeRequired) -> "ChallengeRequired":
        challenge = Challenge(
            token=outcome.token, methods=list(outcome.methods), expires_at=outcome.expires_at
        )
        return cls(challenge=challenge)


async def signed_in(
    outcome: session_outcomes.SignedIn, info: Info, cookie: SessionCookie | None
) -> SignedIn:
    """Returns the answer to a sign-in. The session that the cookie held before ends.

    No other client has its refresh token, so it would stay active without being used.
    """
    replaced = cookie.refresh_token if cookie else None
    answer = SignedIn.of(outcome, info, cookie)
    if replaced is not None and replaced != outcome.tokens.refresh_token:
        context = info.context
        await context.services[SignOut].of_replaced(replaced, outcome, context.client)
    return answer


@strawberry.input(description="An email address and a password.")
class LoginInput:
    email: str = strawberry.field(description="The address of the account, in any spelling.")
    password: str = strawberry.field(description="The password.")
    delivery: TokenDelivery = delivery_field()


@strawberry.type(
    description="The address is unknown, the password is wrong, the account is suspended, or its "
    "registration has yet to be confirmed by the emailed link: the answer does not say which."
)
class InvalidCredentials(Problem):
    @classmethod
    def make(cls, *, verified_only: bool) -> "InvalidCredentials":
        message = "The email address or the password is wrong."
        hint = " If you have just registered, open the link in the email first."
        return cls(message=message + hint if verified_only else message)

    @classmethod
    def of_password(cls) -> "InvalidCredentials":
        return cls(message="The password is wrong.")


@strawberry.type(
    description="The address of this account has not been verified: open the link in the email, or "
    "request another one. `login` returns it for the right password only; for a registration that "
    "has yet to be confirmed, its outcome is `InvalidCredentials`."
)
class EmailNotVerified(Problem):
    def is_wrong_guess(self) -> bool:
        return False

    @classmethod
    def make(cls) -> "EmailNotVerified":
        return cls(message="Open the link in the email that we have sent you, then sign in.")

    @classmethod
    def before_enrollment(cls) -> "EmailNotVerified":
        return cls(message="Verify your email address first: open the link in the email.")


LoginResult = Annotated[
    SignedIn | ChallengeRequired | InvalidCredentials | EmailNotVerified | RateLimited,
    strawberry.union("LoginResult", description="The outcomes of a sign-in."),
]


@strawberry.type
class SignInMutations:
    @guest_field(
        description="Sign in with email address and password. If the account has a second factor, "
        "the result is a challenge. It takes the same time whether the address is known or not.",
        limited_as=limits.SIGN_IN,
    )
    async def login(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            LoginInput, strawberry.argument(description="The address and password.")
        ],
    ) -> LoginResult:
        sign_in, cookie = info.context.services[SignIn], cookie_for(info, input.delivery)
        match await sign_in.login(input.email, input.password, info.context.client):
            case session_outcomes.SignedIn() as outcome:
                return await signed_in(outcome, info, cookie)
            case session_outcomes.ChallengeRequired() as outcome:
                return ChallengeRequired.of(outcome)
            case outcomes.InvalidCredentials():
                return InvalidCredentials.make(verified_only=sign_in.account_policy.verified_only)
            case service.EmailNotVerified():
                return EmailNotVerified.make()
