"""What people do with their own account: change its profile, and delete it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update

from app.accounts.events import AccountEvent
from app.accounts.services.erasure import Erasure
from app.accounts.services.last_administrator import LastAdministrator
from app.accounts.services.password_confirmation import PasswordConfirmation
from app.audit.services.events import Recorder
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.errors import Unauthenticated
from app.outcomes import InvalidCredentials, InvalidInput
from app.security.client import Client
from app.users.models import User
from app.users.services.inputs import Profile, check
from app.users.services.outcomes import UserChanged
from app.users.services.rows import changed_user
from app.users.services.viewer import Viewer


@dataclass(frozen=True, slots=True)
class AccountDeleted:
    """Gone, with its sessions and tokens. Events keep an id that leads nowhere."""

    user_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Profiles:
    db: Database
    erasure: Erasure
    confirmation: PasswordConfirmation
    clock: Callable[[], datetime]

    @retry_on_conflict
    async def update(
        self, viewer: Viewer, changes: dict[str, str | None], client: Client
    ) -> UserChanged | InvalidInput:
        """Change what is in `changes`; what is not in it stays.

        A name that is None is removed, and so is an empty one, which a form sends for "none".
        """
        checked = check(Profile, changes)
        if not isinstance(checked, Profile):
            return InvalidInput(checked)
        values = checked.model_dump(exclude_unset=True)
        if all(getattr(viewer.user, name) == value for name, value in values.items()):
            return UserChanged(viewer.user)
        now, user = self.clock(), User
        changed = update(user).where(user.id == viewer.user.id).values(**values, updated_at=now)
        async with self.db.begin() as session:
            row = await changed_user(session, changed)
            if row is None:
                raise Unauthenticated("The account is gone.")
            recorder = Recorder.by(viewer, client, now)
            await recorder.record(session, AccountEvent.PROFILE_CHANGED, target=row.id)
        return UserChanged(row)

    async def delete(
        self, viewer: Viewer, password: str, client: Client
    ) -> AccountDeleted | InvalidCredentials | LastAdministrator:
        """Erase a person. What stays are events with an opaque id, and a last email.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        seen = await self.confirmation.check(viewer, password, client)
        if not isinstance(seen, str):
            return seen
        user_id, as_seen = viewer.user.id, User.password_hash == seen
        async with self.db.begin() as session:
            recorder = Recorder.by(viewer, client, self.clock())
            erased = await self.erasure.erase(session, user_id, recorder, as_seen)
        if erased is None:
            return InvalidCredentials()
        return erased if isinstance(erased, LastAdministrator) else AccountDeleted(user_id)
