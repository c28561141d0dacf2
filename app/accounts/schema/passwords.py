"""Passwords: changing one, and resetting one by email."""

from typing import Annotated

import strawberry

from app import outcomes
from app.accounts import limits
from app.accounts.schema.results import (
    EmailInput,
    RequestAccepted,
    TokenInvalid,
    UserChanged,
    token_field,
)
from app.accounts.services import passwords as service
from app.accounts.services.passwords import PasswordChanges
from app.graphql.access import guest_field, member_field
from app.graphql.context import Info, member
from app.graphql.inputs import PASSWORD
from app.graphql.problems import InvalidInput, RateLimited
from app.mail.services import one_time_tokens
from app.sessions.schema.delivery import (
    TokenDelivery,
    cookie_for,
    cookie_of_session,
    delivery_field,
)
from app.sessions.schema.sign_in import InvalidCredentials, Tokens
from app.sessions.services.freshness import FRESH_WITHIN
from app.users.schema import User
from app.users.services import outcomes as user_outcomes

RESET_REQUESTED = (
    "If there is an account with this address, a link to choose a new password is on its way to it."
)


@strawberry.input(description="A new password, with the token of an emailed link.")
class ResetPasswordInput:
    token: str = token_field()
    new_password: str = strawberry.field(description=PASSWORD)
    delivery: TokenDelivery = delivery_field()


@strawberry.type(
    description="The password is changed. The session continues with these tokens; its "
    "former ones, and copies of them, are no longer valid."
)
class PasswordChanged:
    user: User = strawberry.field(description="The user.")
    tokens: Tokens = strawberry.field(description="The tokens to use from now on.")

    @classmethod
    def of(cls, outcome: service.PasswordChanged, info: Info) -> "PasswordChanged":
        user = User(row=outcome.user, now=info.context.clock())
        # A session whose refresh token is in the cookie keeps it there.
        cookie = cookie_of_session(info, member(info).session_id)
        return cls(user=user, tokens=Tokens.of(outcome.tokens, cookie))


@strawberry.input(description="A new password, confirmed with the current one.")
class ChangePasswordInput:
    current_password: str = strawberry.field(description="The current password.")
    new_password: str = strawberry.field(description=PASSWORD)
    keep_other_sessions: bool = strawberry.field(
        default=False,
        description="Whether other sessions stay signed in. The current one always does.",
    )


RequestPasswordResetResult = Annotated[
    RequestAccepted | RateLimited,
    strawberry.union(
        "RequestPasswordResetResult", description="The outcomes of asking for a new password."
    ),
]
ResetPasswordResult = Annotated[
    UserChanged | TokenInvalid | InvalidInput | RateLimited,
    strawberry.union("ResetPasswordResult", description="The outcomes of setting a password."),
]
ChangePasswordResult = Annotated[
    PasswordChanged | InvalidCredentials | InvalidInput | RateLimited,
    strawberry.union("ChangePasswordResult", description="The outcomes of changing a password."),
]


@strawberry.type
class PasswordMutations:
    @guest_field(
        description="Ask for an email with a link to a new password. The answer is the same for "
        "every address.",
        limited_as=limits.EMAIL,
    )
    async def request_password_reset(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            EmailInput, strawberry.argument(description="The address.")
        ],
    ) -> RequestPasswordResetResult:
        context = info.context
        await context.services[PasswordChanges].request_reset(input.email, context.client)
        return RequestAccepted(message=RESET_REQUESTED)

    @guest_field(
        description="Set a password with the token of a reset or an invitation. Ends every session "
        "of the account. A refused password does not use up the token.",
        limited_as=limits.LINK,
    )
    async def reset_password(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            ResetPasswordInput, strawberry.argument(description="The token and the password.")
        ],
    ) -> ResetPasswordResult:
        context, cookie = info.context, cookie_for(info, input.delivery)
        changes = context.services[PasswordChanges]
        match await changes.reset(input.token, input.new_password, context.client):
            case user_outcomes.UserChanged() as changed:
                return UserChanged.of(changed, info, cookie)
            case one_time_tokens.TokenInvalid():
                return TokenInvalid.make()
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)

    @member_field(
        description="Change the password. Ends the other sessions, unless `keepOtherSessions` is "
        "true; the current one continues with the returned tokens, and its former tokens are no "
        "longer valid.",
        limited_as=limits.PASSWORD,
        fresh_within=FRESH_WITHIN,
    )
    async def change_password(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            ChangePasswordInput, strawberry.argument(description="The passwords.")
        ],
    ) -> ChangePasswordResult | None:
        context = info.context
        match await context.services[PasswordChanges].change(
            member(info),
            input.current_password,
            input.new_password,
            context.client,
            keep_other_sessions=input.keep_other_sessions,
        ):
            case service.PasswordChanged() as changed:
                return PasswordChanged.of(changed, info)
            case outcomes.InvalidCredentials():
                return InvalidCredentials.of_password()
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)
