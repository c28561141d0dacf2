"""The field `User.sessions`."""

from typing import Any

import strawberry
from strawberry import UNSET

from app.graphql.columns import computed
from app.graphql.context import Info, member
from app.graphql.owned_lists import page_of_user
from app.graphql.pagination import After, Before, First, Last
from app.sessions.schema.types import SESSION_CURSORS, SessionConnection
from app.sessions.services.sessions import Sessions


@strawberry.type
class UserSessions:
    """Fields that are added to `User`."""

    @computed(
        needs=(),
        description="The active sessions of the user, newest first. Only the user and "
        "administrators can see them; null for others.",
    )
    async def sessions(
        self: Any,  # the `User`
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> SessionConnection | None:
        pages = info.context.services[Sessions].pages
        arguments = (first, after, last, before)
        page = await page_of_user(info, self.row.id, pages, SESSION_CURSORS, arguments)
        if page is None:
            return None
        return SessionConnection(page=page, viewer_session_id=member(info).session_id)
