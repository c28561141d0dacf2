"""`User.sessions`."""

from typing import Any

import strawberry
from strawberry import UNSET

from app.graphql.columns import computed
from app.graphql.context import Info
from app.graphql.pagination import After, Before, First, Last
from app.sessions.schema.types import SESSION_CURSORS, SessionConnection
from app.sessions.services.sessions import Sessions


@strawberry.type
class UserSessions:
    """Fields that are added to `User`."""

    @computed(
        needs=(),
        description="The active sessions of the user, newest first; null for anybody but the "
        "user and administrators.",
    )
    async def sessions(
        self: Any,  # the `User`
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> SessionConnection | None:
        viewer = info.context.viewer
        if viewer is None:
            return None
        request = SESSION_CURSORS.request(first, after, last, before)
        pages = info.context.services[Sessions].pages
        page = await info.context.batches.load(pages, self.row.id, viewer, request)
        return SessionConnection(page=page, asking=viewer.session_id) if page else None
