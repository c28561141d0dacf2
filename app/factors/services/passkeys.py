"""What a user does with a passkey that exists: renaming it."""

import uuid
from dataclasses import dataclass

from sqlalchemy import update

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.factors.events import FactorEvent
from app.factors.models import Passkey
from app.factors.services.locking import locked_viewer
from app.outcomes import InvalidInput, NotFound
from app.security.client import Client
from app.sessions.services.freshness import FRESH_WITHIN, Freshness
from app.users.services.inputs import PasskeyName, check
from app.users.services.outcomes import UserChanged
from app.users.services.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Passkeys:
    db: Database
    freshness: Freshness
    clock: Clock

    @retry_on_conflict
    async def rename(
        self, viewer: Viewer, factor_id: uuid.UUID, name: str, client: Client
    ) -> UserChanged | NotFound | InvalidInput:
        """Rename a passkey of the viewer, who removes one by its name."""
        named = check(PasskeyName, {"name": name})
        if not isinstance(named, PasskeyName):
            return InvalidInput(named)
        now, table = self.clock(), Passkey
        theirs = (table.factor_id == factor_id, table.user_id == viewer.user.id)
        renamed = update(table).where(*theirs).values(name=named.name)
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            await self.freshness.check_locked(session, viewer, FRESH_WITHIN)
            if await session.scalar(renamed.returning(table.factor_id)) is None:
                return NotFound()
            recorder = Recorder.by(viewer, client, now)
            await recorder.record(session, FactorEvent.PASSKEY_RENAMED, target=user.id)
        return UserChanged(user)
