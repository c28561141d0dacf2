"""Seals the secrets of factors again after SECRET_KEY was changed, so that the former can go."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.database import Database
from app.factors.models import RecoveryCodes, TotpSecret
from app.factors.services.factor_secrets import FactorSecrets

RESEAL_SECONDS = 300
BATCH = 100
# The tables with a sealed secret that is kept, and its column. Enrollments expire.
SEALED = ((TotpSecret, TotpSecret.sealed_secret), (RecoveryCodes, RecoveryCodes.sealed_key))

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resealing:
    db: Database
    secrets: FactorSecrets

    async def run(self) -> int:
        """Seal what another secret of this process has sealed, in batches. Returns how many."""
        total = 0
        if len(self.secrets.fingerprints) == 1:
            return total
        for table, column in SEALED:
            while True:
                async with self.db.begin() as session:
                    batch = await self._reseal_some(session, table, column)
                total += batch
                if batch < BATCH:
                    break
        if total:
            log.info("%d secrets of factors were sealed with the current SECRET_KEY", total)
        return total

    async def unreadable(self) -> int:
        """Returns how many secrets no secret of this process opens."""
        counts = [
            select(func.count()).where(table.sealed_with.not_in(self.secrets.fingerprints))
            for table, _ in SEALED
        ]
        return sum([(await self.db.rows(each))[0][0] for each in counts])

    async def _reseal_some(self, session: AsyncSession, table: Any, column: Any) -> int:
        secrets = self.secrets
        others = and_(
            table.sealed_with != secrets.fingerprint, table.sealed_with.in_(secrets.fingerprints)
        )
        found = select(table.user_id, column).where(others).limit(BATCH)
        rows: Sequence[Any] = (await session.execute(found.with_for_update(skip_locked=True))).all()
        for user_id, text in rows:
            sealed = secrets.seal(secrets.open(text))
            values = {column.key: sealed.text, "sealed_with": sealed.sealed_with}
            await session.execute(update(table).where(table.user_id == user_id).values(values))
        return len(rows)
