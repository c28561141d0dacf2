"""The objects that other types refer to: `User` and `Session`."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

import strawberry
from strawberry import UNSET

from app.graphql.context import Info
from app.graphql.ids import Node, global_id
from app.graphql.inputs import given
from app.graphql.pagination import After, Before, First, Last
from app.graphql.problems import publish_enum
from app.sessions.schema.types import SESSION_CURSORS, SessionConnection
from app.users.models import Role, UserRow

publish_enum(
    Role,
    "What somebody may do.",
    MEMBER="May see and change what is theirs.",
    ADMIN="May see and change everybody.",
)


@strawberry.type(description="A pause that an administrator has put on an account.")
class Suspension:
    reason: str = strawberry.field(description="Why, in the administrator's words.")
    until: datetime | None = strawberry.field(
        description="When it lifts itself; null: not by itself."
    )


@strawberry.type(description="A person with an account.")
class User(Node):
    row: strawberry.Private[UserRow]
    now: strawberry.Private[datetime]

    @strawberry.field(description="Opaque and unique among everything. Keep it, do not parse it.")
    def id(self) -> strawberry.ID:
        return global_id("User", self.row.id)

    @strawberry.field(
        description="What access tokens call the user: `sub`, a UUID. It never changes. Accepted "
        "wherever the `id` of a user is."
    )
    def subject(self) -> str:
        return str(self.row.id)

    @strawberry.field(description="The address, normalised: composed, and in lower case.")
    def email(self) -> str:
        return self.row.email

    @strawberry.field(
        description="Whether the person has shown that they read mail at this address."
    )
    def email_verified(self) -> bool:
        return self.row.email_verified

    @strawberry.field(
        description="What the person wants to be called; null where they left it out."
    )
    def display_name(self) -> str | None:
        return self.row.display_name

    @strawberry.field(description="False while suspended.")
    def is_active(self) -> bool:
        return self.row.is_active(self.now)

    @strawberry.field(description="What this person may do.")
    def role(self) -> Role:
        return Role(self.row.role)

    @strawberry.field(description="When the account was made.")
    def created_at(self) -> datetime:
        return self.row.created_at

    @strawberry.field(
        description="When anything of the account, other than its sign-ins, last changed."
    )
    def updated_at(self) -> datetime:
        return self.row.updated_at

    @strawberry.field(description="When the person last entered their password; null: never.")
    def last_login_at(self) -> datetime | None:
        return self.row.last_login_at

    @strawberry.field(
        description="What another system called this person, from which they were imported; "
        "null for everybody else."
    )
    def external_id(self) -> str | None:
        return self.row.external_id

    @strawberry.field(description="The pause on this account, if there is one now.")
    def suspension(self) -> Suspension | None:
        if self.row.is_active(self.now):
            return None
        return Suspension(reason=self.row.suspension_reason or "", until=self.row.suspended_until)

    @strawberry.field(
        description="The living sessions of this person, newest first; null for anybody but "
        "the person and administrators."
    )
    async def sessions(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> SessionConnection | None:
        viewer = info.context.viewer
        if viewer is None:
            return None
        request = SESSION_CURSORS.request(given(first), given(after), given(last), given(before))
        pages = info.context.services.sessions.pages
        page = await info.context.batches.load(pages, self.row.id, viewer, request)
        return SessionConnection(page=page, asking=viewer.session_id) if page else None


SUSPENSION = frozenset({"suspended_at", "suspended_until"})
# What the fields of `User` are read from. All have the row's id.
COLUMNS: Mapping[str, frozenset[str]] = {
    "id": frozenset(),
    "subject": frozenset(),
    "email": frozenset({"email"}),
    "emailVerified": frozenset({"email_verified"}),
    "displayName": frozenset({"display_name"}),
    "isActive": SUSPENSION,
    "role": frozenset({"role"}),
    "createdAt": frozenset({"created_at"}),
    "updatedAt": frozenset({"updated_at"}),
    "lastLoginAt": frozenset({"last_login_at"}),
    "externalId": frozenset({"external_id"}),
    "suspension": SUSPENSION | {"suspension_reason"},
    "sessions": frozenset(),
}


@lru_cache(maxsize=512)
def user_columns(names: frozenset[str]) -> frozenset[str]:
    """Give the columns that fields of these names are read from: reading all takes a page longer.

    A name may be that of a field of another type; then there is a column too many.
    """
    return frozenset[str]().union(*(COLUMNS[name] for name in names if name in COLUMNS))
