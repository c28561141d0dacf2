"""The type `Session`, and pages of it."""

import uuid
from datetime import datetime
from operator import attrgetter

import strawberry

from app.database.keyset_pages import Page
from app.graphql.ids import Node, global_id
from app.graphql.pagination import Cursors, PageInfo, PlainForm
from app.sessions.models import SessionRow


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
        return self.row.lifetime.lapses_at

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
