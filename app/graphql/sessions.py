"""Signing in: `login`."""

from typing import Annotated

import strawberry

from app.graphql.access import guest_field
from app.graphql.context import Info
from app.graphql.problems import Problem, RateLimited
from app.graphql.sign_in import SignedIn
from app.services import outcomes
from app.services import sessions as service


@strawberry.input(description="Who signs in, and what only they know.")
class LoginInput:
    email: str = strawberry.field(description="The address of the account, in any spelling.")
    password: str = strawberry.field(description="The password.")


@strawberry.type(
    description="The address is unknown, the password is wrong, or the account is suspended: "
    "which of them is not said."
)
class InvalidCredentials(Problem):
    @classmethod
    def make(cls) -> "InvalidCredentials":
        return cls(message="The e-mail address or the password is not right.")


LoginResult = Annotated[
    SignedIn | InvalidCredentials | RateLimited,
    strawberry.union("LoginResult", description="How a sign-in ended."),
]


@strawberry.type
class SessionMutations:
    @guest_field(
        description="Sign in with address and password. Takes as long for an unknown address."
    )
    async def login(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            LoginInput, strawberry.argument(description="Who signs in.")
        ],
    ) -> LoginResult:
        sessions = info.context.services.sessions
        match await sessions.login(input.email, input.password, info.context.client):
            case outcomes.SignedIn() as signed_in:
                return SignedIn.of(signed_in, info)
            case service.InvalidCredentials():
                return InvalidCredentials.make()
            case outcomes.RateLimited() as limited:
                return RateLimited.of(limited)
