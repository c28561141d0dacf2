"""Lists that each user has, such as `User.sessions`: fields that answer a page of them."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from app.database.keyset_pages import Page, PageRequest
from app.graphql.context import Info
from app.graphql.pagination import Cursors
from app.users.services.viewer import Viewer

Row = TypeVar("Row")
# Reads a page for each of these users. Users whose list the viewer may not see have none.
ReadPages = Callable[
    [Sequence[uuid.UUID], Viewer, PageRequest], Awaitable[Mapping[uuid.UUID, Page[Row]]]
]
# `first`, `after`, `last` and `before` of a field.
PageArguments = tuple[int | None, str | None, int | None, str | None]


async def page_of_user(
    info: Info,
    user_id: uuid.UUID,
    read: ReadPages[Row],
    cursors: Cursors,
    arguments: PageArguments,
) -> Page[Row] | None:
    """Returns the page that a field asks for; None if the viewer may not see it.

    It is read for all users of a page at once.

    Raises:
        BadInput: names the invalid argument.

    """
    viewer = info.context.viewer
    if viewer is None:
        return None
    request = cursors.request(*arguments)
    return await info.context.batches.load(read, user_id, viewer, request)
