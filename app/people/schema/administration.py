"""Administration of the accounts of others."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from app import outcomes
from app.accounts.schema.results import EmailTaken, LastAdministrator, UserChanged
from app.accounts.services import last_administrator
from app.errors import BadInput
from app.graphql.access import admin_field
from app.graphql.context import Info, admin
from app.graphql.inputs import none_if_unset
from app.graphql.problems import InvalidInput, NotFound
from app.people import limits
from app.people.services import administration as service
from app.people.services.administration import Administration
from app.sessions.services.freshness import FRESH_WITHIN
from app.text.global_ids import global_id, read_id_of
from app.users.models import Role
from app.users.schema import UserInput
from app.users.services import outcomes as user_outcomes
from app.users.services.inputs import MAX_NAME_CHARACTERS, MAX_REASON_CHARACTERS


@strawberry.input(description="An account for another person.")
class CreateUserInput:
    email: str = strawberry.field(description="Their address; the invitation goes there.")
    display_name: str | None = strawberry.field(
        default=UNSET,
        description=f"The display name, up to {MAX_NAME_CHARACTERS} characters; may be omitted, "
        "null or empty.",
    )
    role: Role = strawberry.field(default=Role.MEMBER, description="The role of the user.")


@strawberry.input(description="The new role of a user.")
class SetUserRoleInput:
    user_id: strawberry.ID = strawberry.field(description="The `id` or the `subject` of the user.")
    role: Role = strawberry.field(description="The role.")


@strawberry.input(description="A suspension of a user.")
class SuspendUserInput:
    user_id: strawberry.ID = strawberry.field(description="The `id` or the `subject` of the user.")
    reason: str = strawberry.field(
        description=f"Why, in up to {MAX_REASON_CHARACTERS} characters, for administrators to read."
    )
    until: datetime | None = strawberry.field(
        default=UNSET,
        description="When the suspension ends by itself, at most 100 years from now; omitted or "
        "null: never.",
    )


@strawberry.input(description="A user who has lost their second factor and recovery codes.")
class ResetUserFactorsInput:
    user_id: strawberry.ID = strawberry.field(description="The `id` or the `subject` of the user.")
    reason: str = strawberry.field(
        description=f"Why, in up to {MAX_REASON_CHARACTERS} characters, for the audit, which keeps "
        "it when the account is deleted: no personal data."
    )


CreateUserResult = Annotated[
    UserChanged | EmailTaken | InvalidInput,
    strawberry.union("CreateUserResult", description="The outcomes of creating an account."),
]
UserChangeResult = Annotated[
    UserChanged | NotFound | LastAdministrator | InvalidInput,
    strawberry.union(
        "UserChangeResult", description="The outcomes of changing the account of a user."
    ),
]


@strawberry.type(description="The account and all personal data in it are deleted.")
class UserDeleted:
    user_id: strawberry.ID = strawberry.field(
        description="The former id of the user, to remove them from caches."
    )


DeleteUserResult = Annotated[
    UserDeleted | NotFound | LastAdministrator,
    strawberry.union(
        "DeleteUserResult", description="The outcomes of deleting the account of a user."
    ),
]


@strawberry.type
class AdministrationMutations:
    @admin_field(
        description="Create an account for another person and send an invitation, with which they "
        "choose their password through `resetPassword`.",
        limited_as=limits.INVITATION,
        fresh_within=FRESH_WITHIN,
    )
    async def create_user(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            CreateUserInput, strawberry.argument(description="The account.")
        ],
    ) -> CreateUserResult | None:
        context, name = info.context, none_if_unset(input.display_name)
        match await context.services[Administration].create_user(
            admin(info), input.email, name, input.role, context.client
        ):
            case user_outcomes.UserChanged() as changed:
                return UserChanged.of(changed, info)
            case outcomes.EmailTaken():
                return EmailTaken.make()
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)

    @admin_field(
        description="Change the role of a user, effective from their next request.",
        fresh_within=FRESH_WITHIN,
    )
    async def set_user_role(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            SetUserRoleInput, strawberry.argument(description="The user and the role.")
        ],
    ) -> UserChangeResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        outcome = await context.services[Administration].set_role(
            admin(info), user_id, input.role, context.client
        )
        if isinstance(outcome, service.UnconfirmedRegistration):
            raise BadInput("`input.userId` is an account whose registration is unconfirmed.")
        return _result(outcome, info)

    @admin_field(
        description="Suspend a user: their sessions end, and they cannot sign in until "
        "`reinstateUser`, or until the suspension ends by itself.",
        fresh_within=FRESH_WITHIN,
    )
    async def suspend_user(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            SuspendUserInput, strawberry.argument(description="The user, the reason, and the end.")
        ],
    ) -> UserChangeResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        administration = context.services[Administration]
        return _result(
            await administration.suspend(
                admin(info), user_id, input.reason, none_if_unset(input.until), context.client
            ),
            info,
        )

    @admin_field(description="End the suspension of a user.", fresh_within=FRESH_WITHIN)
    async def reinstate_user(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            UserInput, strawberry.argument(description="The user.")
        ],
    ) -> UserChangeResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        administration = context.services[Administration]
        return _result(await administration.reinstate(admin(info), user_id, context.client), info)

    @admin_field(description="End all sessions of a user.", fresh_within=FRESH_WITHIN)
    async def end_user_sessions(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            UserInput, strawberry.argument(description="The user.")
        ],
    ) -> UserChangeResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        administration = context.services[Administration]
        return _result(
            await administration.end_sessions(admin(info), user_id, context.client), info
        )

    @admin_field(
        description="Remove all second factors and recovery codes of a user who has lost them. "
        "Their sessions end, and an email tells them; signing in asks for the password only.",
        limited_as=limits.FACTOR_RESET,
        fresh_within=FRESH_WITHIN,
    )
    async def reset_user_factors(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            ResetUserFactorsInput, strawberry.argument(description="The user and the reason.")
        ],
    ) -> UserChangeResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        administration = context.services[Administration]
        return _result(
            await administration.reset_factors(admin(info), user_id, input.reason, context.client),
            info,
        )

    @admin_field(
        description="Delete the account of a user, as `deleteAccount` does: sessions end at once, "
        "personal data is erased, and an email tells them. This cannot be undone.",
        limited_as=limits.DELETION,
        fresh_within=FRESH_WITHIN,
    )
    async def delete_user(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            UserInput, strawberry.argument(description="The user.")
        ],
    ) -> DeleteUserResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        match await context.services[Administration].delete(admin(info), user_id, context.client):
            case service.UserDeleted():
                return UserDeleted(user_id=global_id("User", user_id))
            case outcomes.NotFound():
                return NotFound.make()
            case last_administrator.LastAdministrator():
                return LastAdministrator.make()


def _result(outcome: service.Changed | outcomes.InvalidInput, info: Info) -> UserChangeResult:
    match outcome:
        case user_outcomes.UserChanged() as changed:
            return UserChanged.of(changed, info)
        case outcomes.NotFound():
            return NotFound.make()
        case last_administrator.LastAdministrator():
            return LastAdministrator.make()
        case outcomes.InvalidInput() as invalid:
            return InvalidInput.of(invalid)
