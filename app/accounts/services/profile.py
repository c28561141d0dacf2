"""What users do with their own account: change the profile, and delete the account."""

import uuid
from dataclasses import dataclass

from sqlalchemy import update

from app.accounts.events import AccountEvent
from app.accounts.services.erasure import Erasure
from app.accounts.services.last_administrator import LastAdministrator
from app.accounts.services.password_confirmation import PasswordConfirmation
from app.audit.services.events import Recorder
from app.clock import Clock
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
    """Deleted, with its sessions and tokens. Audit events keep an id that refers to nothing."""

    user_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Profiles:
    db: Database
    erasure: Erasure
    confirmation: PasswordConfirmation
    clock: Clock

    @retry_on_conflict
    async def update(
        self, viewer: Viewer, changes: dict[str, str | None], client: Client
    ) -> UserChanged | InvalidInput:
        """Change the fields that are in `changes`.

        A name of None is removed, and so is an empty one, which forms send for "none".
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
                raise Unauthenticated("The account was deleted.")
            recorder = Recorder.by(viewer, client, now)
            await recorder.record(session, AccountEvent.PROFILE_CHANGED, target=row.id)
        return UserChanged(row)

    async def delete(
        self, viewer: Viewer, password: str, client: Client
    ) -> AccountDeleted | InvalidCredentials | LastAdministrator:
        """Delete the account of the current user; see `Erasure.erase`.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        confirmed = await self.confirmation.check(viewer, password, client)
        if not isinstance(confirmed, str):
            return confirmed
        user_id, unchanged = viewer.user.id, User.password_hash == confirmed
        async with self.db.begin() as session:
            recorder = Recorder.by(viewer, client, self.clock())
            erased = await self.erasure.erase(session, user_id, recorder, unchanged)
        if erased is None:
            return InvalidCredentials()
        return erased if isinstance(erased, LastAdministrator) else AccountDeleted(user_id)
