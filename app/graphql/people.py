"""The objects that other types refer to: `User` and `Session`."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from operator import attrgetter

import strawberry
from strawberry import UNSET

from app.graphql.context import Info
from app.graphql.ids import Node, global_id
from app.graphql.inputs import given
from app.graphql.pagination import After, Before, Cursors, First, Last, PageInfo, PlainForm
from app.graphql.problems import publish_enum
from app.models import Role, SessionRow, UserRow
from app.services.pages import Page

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


@strawberry.type(description="One sign-in, on one device, from login until it ends.")
class Session(Node):
    row: strawberry.Private[SessionRow]
    asks: strawberry.Private[bool]

    @strawberry.field(description="Opaque and unique among everything. Keep it, do not parse it.")
    def id(self) -> strawberry.ID:
        return global_id("Session", self.row.id)

    @strawberry.field(description="Whether this is the session that asks.")
    def is_current(self) -> bool:
        return self.asks

    @strawberry.field(description="When it began.")
    def created_at(self) -> datetime:
        return self.row.created_at

    @strawberry.field(description="When it was last used, to the minute.")
    def last_used_at(self) -> datetime:
        return self.row.last_used_at

    @strawberry.field(description="When it ends, unless it is refreshed before.")
    def expires_at(self) -> datetime:
        return self.row.lapses_at

    @strawberry.field(description="The program that signed in, as it calls itself.")
    def user_agent(self) -> str | None:
        return self.row.user_agent

    @strawberry.field(description="The address that signed in.")
    def ip_address(self) -> str | None:
        return self.row.ip_address


SESSION_CURSORS = Cursors(PlainForm("Session.CREATED_AT.DESC"), attrgetter("created_at"))
session_cursor = SESSION_CURSORS.write


@strawberry.type(description="A session in a page.")
class SessionEdge:
    row: strawberry.Private[SessionRow]
    asks: strawberry.Private[bool]

    @strawberry.field(description="Where this session stands among the others.")
    def cursor(self) -> str:
        return session_cursor(self.row)

    @strawberry.field(description="The session.")
    def node(self) -> Session:
        return Session(row=self.row, asks=self.asks)


@strawberry.type(description="A page of sessions.")
class SessionConnection:
    page: strawberry.Private[Page[SessionRow]]
    asking: strawberry.Private[uuid.UUID]

    @strawberry.field(description="The sessions of this page with their cursors.")
    def edges(self) -> list[SessionEdge]:
        return [SessionEdge(row=row, asks=self._asks(row)) for row in self.page.rows]

    @strawberry.field(description="The sessions of this page, for those who need no cursors.")
    def nodes(self) -> list[Session]:
        return [Session(row=row, asks=self._asks(row)) for row in self.page.rows]

    @strawberry.field(description="Where this page lies among the others.")
    def page_info(self) -> PageInfo:
        return PageInfo.of(self.page, session_cursor)

    def _asks(self, row: SessionRow) -> bool:
        return row.id == self.asking


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
        page = await info.context.services.sessions.page(viewer, self.row.id, request)
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
