"""Results and problems that several operations on accounts share."""

from typing import Any

import strawberry

from app.graphql.context import Info
from app.graphql.problems import Problem
from app.security.session_cookie import SessionCookie
from app.users.schema import User
from app.users.services import outcomes as user_outcomes


@strawberry.type(description="The change was made.")
class UserChanged:
    user: User = strawberry.field(description="The user after the change.")
    device_token: str | None = strawberry.field(
        default=None,
        description="Returned by `resetPassword` only, unless it is in the cookie: a "
        "`Tokens.deviceToken` for the device that opened the link. Send it with the `login` that "
        "follows.",
    )

    @classmethod
    def of(
        cls, outcome: user_outcomes.UserChanged, info: Info, cookie: SessionCookie | None = None
    ) -> "UserChanged":
        user = User(row=outcome.user, now=info.context.clock())
        if cookie is not None:
            cookie.store(None, outcome.device_token)
            return cls(user=user)
        return cls(user=user, device_token=outcome.device_token)


@strawberry.type(
    description="Accepted. If there is an email to send, it is on its way; the answer is the same "
    "for every address."
)
class RequestAccepted:
    message: str = strawberry.field(description="What to tell the person, in English.")


@strawberry.type(
    description="The token of a link does not work: unknown, used, replaced or expired."
)
class TokenInvalid(Problem):
    @classmethod
    def make(cls) -> "TokenInvalid":
        return cls(message="This link is invalid or has expired. Request a new one.")


@strawberry.type(
    description="An account with this address exists. Sign in, or use another address."
)
class EmailTaken(Problem):
    def is_wrong_guess(self) -> bool:
        return False

    @classmethod
    def make(cls) -> "EmailTaken":
        return cls(message="An account with this email address already exists.")


@strawberry.type(description="The change would leave no active administrator.")
class LastAdministrator(Problem):
    def is_wrong_guess(self) -> bool:
        return False

    @classmethod
    def make(cls) -> "LastAdministrator":
        return cls(
            message="This is the last administrator. Make another user an administrator first."
        )


def token_field() -> Any:
    """Declare the field `token` of an input."""
    return strawberry.field(description="The part of the link that begins with `pot_`.")


@strawberry.input(description="The token of an emailed link.")
class TokenInput:
    token: str = token_field()


@strawberry.input(description="An address.")
class EmailInput:
    email: str = strawberry.field(description="In any spelling; case does not matter.")
