"""The type `Session`, and pages of sessions."""

import uuid
from datetime import datetime
from operator import attrgetter

import strawberry

from app.database.keyset_pages import Page
from app.graphql.columns import column, computed
from app.graphql.ids import Node, id_column
from app.graphql.pagination import Cursors, PageInfo, PlainEncoding
from app.graphql.problems import publish_enum
from app.sessions.models import AuthenticationMethod, SessionRow

publish_enum(
    AuthenticationMethod,
    "A way in which a user proves who they are.",
    PASSWORD="The password.",  # noqa: S106 - words
    EMAIL="A link in an email.",
    TOTP="A code of an authenticator app (RFC 6238).",
    RECOVERY_CODE="A recovery code, for users who have lost their factor.",
    PASSKEY="A passkey (WebAuthn), whose device has verified the person.",
)


@strawberry.type(description="One sign-in, on one device, from login until it ends.")
class Session(Node):
    row: strawberry.Private[SessionRow]
    is_viewer_session: strawberry.Private[bool]

    id: strawberry.ID = id_column("Session")
    created_at: datetime = column("created_at", description="When it began.")
    last_used_at: datetime = column(
        "last_used_at", description="When it was last used, to the minute."
    )
    user_agent: str | None = column(
        "user_agent", description="The user agent of the client that signed in."
    )
    ip_address: str | None = column(
        "ip_address", description="The IP address of the client that signed in."
    )

    @computed(
        needs=("proved_at", "created_at"),
        description="When the user last proved who they are, by a sign-in or `stepUp`. A refresh "
        "does not move it.",
    )
    def authenticated_at(self) -> datetime:
        return self.row.authenticated_at

    @computed(
        needs=("methods",),
        description="By what the user has proved it since the session began; empty if an earlier "
        "release began it.",
    )
    def methods(self) -> list[AuthenticationMethod]:
        return [AuthenticationMethod(each) for each in self.row.methods]

    @computed(needs=(), description="Whether this is the current session.")
    def is_current(self) -> bool:
        return self.is_viewer_session

    @computed(
        needs=("expires_at", "ends_by"), description="When it ends, unless it is refreshed before."
    )
    def expires_at(self) -> datetime:
        return self.row.lifetime.effective_expiry


SESSION_CURSORS = Cursors(PlainEncoding("Session.CREATED_AT.DESC"), attrgetter("created_at"))
session_cursor = SESSION_CURSORS.write


@strawberry.type(description="A session in a page.")
class SessionEdge:
    row: strawberry.Private[SessionRow]
    is_viewer_session: strawberry.Private[bool]

    @strawberry.field(description="The position of this session, for `after` and `before`.")
    def cursor(self) -> str:
        return session_cursor(self.row)

    @strawberry.field(description="The session.")
    def node(self) -> Session:
        return Session(row=self.row, is_viewer_session=self.is_viewer_session)


@strawberry.type(description="A page of sessions.")
class SessionConnection:
    page: strawberry.Private[Page[SessionRow]]
    viewer_session_id: strawberry.Private[uuid.UUID]

    @strawberry.field(description="The sessions of this page with their cursors.")
    def edges(self) -> list[SessionEdge]:
        return [
            SessionEdge(row=row, is_viewer_session=self._is_viewer_session(row))
            for row in self.page.rows
        ]

    @strawberry.field(description="The sessions of this page, without cursors.")
    def nodes(self) -> list[Session]:
        return [
            Session(row=row, is_viewer_session=self._is_viewer_session(row))
            for row in self.page.rows
        ]

    @strawberry.field(description="The position of this page in the whole list.")
    def page_info(self) -> PageInfo:
        return PageInfo.of(self.page, session_cursor)

    def _is_viewer_session(self, row: SessionRow) -> bool:
        return row.id == self.viewer_session_id
