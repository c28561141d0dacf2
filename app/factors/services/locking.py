"""Locking the user who is signed in, before a change of their factors."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Unauthenticated
from app.users.models import User, UserRow
from app.users.services.rows import is_active, locked_user
from app.users.services.viewer import Viewer


async def locked_viewer(session: AsyncSession, viewer: Viewer, now: datetime) -> UserRow:
    """Building block: lock the user of a session, and return the current row.

    Raises:
        Unauthenticated: the user was deleted or suspended meanwhile.

    """
    user = await locked_user(session, User.id == viewer.user.id, is_active(now))
    if user is None:
        raise Unauthenticated("The session has ended. Sign in again.")
    return user
