"""What administrators do with other people's accounts."""

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
from app.graphql.inputs import given
from app.graphql.problems import InvalidInput, NotFound
from app.people.services import administration as service
from app.people.services.administration import Administration
from app.text.global_ids import global_id, read_id_of
from app.throttle.services.throttle import Tried
from app.users.models import Role
from app.users.services import outcomes as user_outcomes
from app.users.services.inputs import MAX_NAME_CHARACTERS, MAX_REASON_CHARACTERS


@strawberry.input(description="A person.")
class UserInput:
    user_id: strawberry.ID = strawberry.field(description="The `id` or the `subject` of the user.")


@strawberry.input(description="An account for somebody else.")
class CreateUserInput:
    email: str = strawberry.field(description="Their address; the invitation goes there.")
    display_name: str | None = strawberry.field(
        default=UNSET,
        description=f"What they are called, up to {MAX_NAME_CHARACTERS} characters; may be left "
        "out, null or empty.",
    )
    role: Role = strawberry.field(default=Role.MEMBER, description="What they may do.")


@strawberry.input(description="What somebody may do from now on.")
class SetUserRoleInput:
    user_id: strawberry.ID = strawberry.field(description="The `id` or the `subject` of the user.")
    role: Role = strawberry.field(description="The role.")


@strawberry.input(description="A pause for somebody.")
class SuspendUserInput:
    user_id: strawberry.ID = strawberry.field(description="The `id` or the `subject` of the user.")
    reason: str = strawberry.field(
        description=f"Why, in up to {MAX_REASON_CHARACTERS} characters, for administrators to read."
    )
    until: datetime | None = strawberry.field(
        default=UNSET,
        description="When it lifts itself, at most 100 years from now; left out or null: not by "
        "itself.",
    )


CreateUserResult = Annotated[
    UserChanged | EmailTaken | InvalidInput,
    strawberry.union("CreateUserResult", description="How making an account ended."),
]
UserChangeResult = Annotated[
    UserChanged | NotFound | LastAdministrator | InvalidInput,
    strawberry.union("UserChangeResult", description="How changing somebody's account ended."),
]


@strawberry.type(description="The account is gone, with everything that was known of the person.")
class UserDeleted:
    user_id: strawberry.ID = strawberry.field(
        description="The id that the user had, to remove them from caches by."
    )


DeleteUserResult = Annotated[
    UserDeleted | NotFound | LastAdministrator,
    strawberry.union("DeleteUserResult", description="How deleting somebody's account ended."),
]


@strawberry.type
class AdministrationMutations:
    @admin_field(
        description="Make an account for somebody and send them an invitation, with which they "
        "choose their password through `resetPassword`.",
        tries=Tried.INVITATION,
    )
    async def create_user(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            CreateUserInput, strawberry.argument(description="The account.")
        ],
    ) -> CreateUserResult | None:
        context, name = info.context, given(input.display_name)
        match await context.services[Administration].create_user(
            admin(info), input.email, name, input.role, context.client
        ):
            case user_outcomes.UserChanged() as changed:
                return UserChanged.of(changed, info)
            case outcomes.EmailTaken():
                return EmailTaken.make()
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)

    @admin_field(description="Change what somebody may do, from their next request on.")
    async def set_user_role(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            SetUserRoleInput, strawberry.argument(description="Who, and what.")
        ],
    ) -> UserChangeResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        outcome = await context.services[Administration].set_role(
            admin(info), user_id, input.role, context.client
        )
        if isinstance(outcome, service.NobodysYet):
            raise BadInput("`input.userId` is an account whose registration nobody has confirmed.")
        return _result(outcome, info)

    @admin_field(
        description="Shut somebody out: their sessions end, and they cannot sign in until "
        "`reinstateUser`, or until the pause lifts itself."
    )
    async def suspend_user(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            SuspendUserInput, strawberry.argument(description="Who, why, and until when.")
        ],
    ) -> UserChangeResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        administration = context.services[Administration]
        return _result(
            await administration.suspend(
                admin(info), user_id, input.reason, given(input.until), context.client
            ),
            info,
        )

    @admin_field(description="Let somebody who was suspended back in.")
    async def reinstate_user(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            UserInput, strawberry.argument(description="Who.")
        ],
    ) -> UserChangeResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        administration = context.services[Administration]
        return _result(await administration.reinstate(admin(info), user_id, context.client), info)

    @admin_field(description="Sign somebody out on every device.")
    async def end_user_sessions(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            UserInput, strawberry.argument(description="Who.")
        ],
    ) -> UserChangeResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        administration = context.services[Administration]
        return _result(
            await administration.end_sessions(admin(info), user_id, context.client), info
        )

    @admin_field(
        description="Delete somebody's account, as `deleteAccount` does: sessions end at once, "
        "personal data is erased, and an email tells them. There is no way back.",
        tries=Tried.DELETION,
    )
    async def delete_user(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            UserInput, strawberry.argument(description="Who.")
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
