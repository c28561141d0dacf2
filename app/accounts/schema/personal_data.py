"""Exports of the personal data of a user: `exportPersonalData`, `exportUserData`."""

from typing import Annotated

import strawberry

from app import outcomes
from app.accounts import limits
from app.accounts.services import personal_data as service
from app.accounts.services.personal_data import FORMAT, MOST, Copy
from app.graphql.access import admin_field, member_field
from app.graphql.context import Info, admin, member
from app.graphql.problems import NotFound, RateLimited
from app.graphql.scalars import JSON
from app.sessions.schema.sign_in import InvalidCredentials
from app.sessions.services.freshness import FRESH_WITHIN
from app.text.global_ids import read_id_of
from app.users.schema import UserInput


@strawberry.input(description="The password that confirms an export.")
class ExportPersonalDataInput:
    password: str = strawberry.field(description="The password of the account.")


@strawberry.type(description="A copy of the data about a user.")
class PersonalData:
    document: JSON = strawberry.field(
        description=f"An object to save as a file. `format` is `{FORMAT}`; `profile`, `sessions`, "
        "`links`, `passwordFailures`, `jobs` and `events` hold the data, newest first, and "
        "`truncated` the names of lists that are cut. `docs/clients/personal-data.md` describes it."
    )
    is_complete: bool = strawberry.field(
        description=f"False if a list is cut after its newest {MOST:,} entries. All of them are in "
        "the file that an operator writes with `portico users personal-data`."
    )

    @classmethod
    def of(cls, copy: Copy) -> "PersonalData":
        return cls(document=JSON(copy.document), is_complete=copy.is_complete)


ExportPersonalDataResult = Annotated[
    PersonalData | InvalidCredentials | RateLimited,
    strawberry.union(
        "ExportPersonalDataResult", description="The outcomes of exporting the personal data."
    ),
]
ExportUserDataResult = Annotated[
    PersonalData | NotFound | RateLimited,
    strawberry.union(
        "ExportUserDataResult", description="The outcomes of exporting a user's data."
    ),
]


@strawberry.type
class PersonalDataMutations:
    @member_field(
        description="Export all data about the current user, without secrets and without the "
        "identity of others. A mutation, since the audit records it.",
        limited_as=limits.EXPORT,
        fresh_within=FRESH_WITHIN,
    )
    async def export_personal_data(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            ExportPersonalDataInput, strawberry.argument(description="The password.")
        ],
    ) -> ExportPersonalDataResult | None:
        context = info.context
        match await context.services[service.PersonalData].own(
            member(info), input.password, context.client
        ):
            case Copy() as copy:
                return PersonalData.of(copy)
            case outcomes.InvalidCredentials():
                return InvalidCredentials.of_password()

    @admin_field(
        description="Export all data about a user, as `exportPersonalData` does.",
        limited_as=limits.USER_EXPORT,
        fresh_within=FRESH_WITHIN,
    )
    async def export_user_data(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            UserInput, strawberry.argument(description="The user.")
        ],
    ) -> ExportUserDataResult | None:
        context, user_id = info.context, read_id_of("User", input.user_id, "input.userId")
        match await context.services[service.PersonalData].of_user(
            admin(info), user_id, context.client
        ):
            case Copy() as copy:
                return PersonalData.of(copy)
            case outcomes.NotFound():
                return NotFound.make()
