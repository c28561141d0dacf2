"""The account of the current user: its profile, and its deletion."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from app import outcomes
from app.accounts import limits
from app.accounts.schema.results import LastAdministrator, UserChanged
from app.accounts.services import last_administrator, profile
from app.accounts.services.profile import Profiles
from app.graphql.access import member_field
from app.graphql.context import Info, member
from app.graphql.problems import InvalidInput, RateLimited
from app.sessions.schema.delivery import cookie_of_session
from app.sessions.schema.sign_in import InvalidCredentials
from app.sessions.services.freshness import FRESH_WITHIN
from app.text.global_ids import global_id
from app.users.services import outcomes as user_outcomes
from app.users.services.inputs import MAX_NAME_CHARACTERS


@strawberry.input(description="Changes to the profile. Omitted fields stay as they are.")
class UpdateProfileInput:
    display_name: str | None = strawberry.field(
        default=UNSET,
        description=f"Up to {MAX_NAME_CHARACTERS} characters; null or empty removes it.",
    )


@strawberry.input(description="The password that confirms the deletion.")
class DeleteAccountInput:
    password: str = strawberry.field(description="The password of the account.")


@strawberry.type(description="The account and all personal data in it are deleted.")
class AccountDeleted:
    message: str = strawberry.field(description="What to tell the person, in English.")
    user_id: strawberry.ID = strawberry.field(
        description="The former id of the user, to remove them from caches."
    )


UpdateProfileResult = Annotated[
    UserChanged | InvalidInput,
    strawberry.union("UpdateProfileResult", description="The outcomes of changing the profile."),
]
DeleteAccountResult = Annotated[
    AccountDeleted | InvalidCredentials | LastAdministrator | RateLimited,
    strawberry.union("DeleteAccountResult", description="The outcomes of deleting the account."),
]


@strawberry.type
class ProfileMutations:
    @member_field(
        description="Change the profile of the current user.",
        limited_as=limits.PROFILE,
    )
    async def update_profile(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            UpdateProfileInput, strawberry.argument(description="The changes.")
        ],
    ) -> UpdateProfileResult | None:
        context, name = info.context, input.display_name
        changes = {} if name is UNSET else {"displayName": name}
        match await context.services[Profiles].update(member(info), changes, context.client):
            case user_outcomes.UserChanged() as changed:
                return UserChanged.of(changed, info)
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)

    @member_field(
        description="Delete the account of the current user: sessions end at once, personal data "
        "is erased. This cannot be undone.",
        limited_as=limits.PASSWORD,
        fresh_within=FRESH_WITHIN,
    )
    async def delete_account(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            DeleteAccountInput, strawberry.argument(description="The password.")
        ],
    ) -> DeleteAccountResult | None:
        context = info.context
        match await context.services[Profiles].delete(member(info), input.password, context.client):
            case profile.AccountDeleted(user_id):
                cookie = cookie_of_session(info, member(info).session_id)
                if cookie is not None:
                    cookie.clear()
                return AccountDeleted(
                    message="Your account is deleted.", user_id=global_id("User", user_id)
                )
            case outcomes.InvalidCredentials():
                return InvalidCredentials.of_password()
            case last_administrator.LastAdministrator():
                return LastAdministrator.make()
