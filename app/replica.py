"""Reads that may be a moment old, from a replica where there is one."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.db import Database, Query
from app.errors import Unavailable

REST_SECONDS = 5

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Replica:
    """Pages for administrators. Where the replica does not answer, the primary does."""

    primary: Database
    replica: Database | None = None
    _rests_until: float = 0.0

    async def fetch(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        if self.replica is None or time.monotonic() < self._rests_until:
            return await self.primary.fetch(query, **values)
        try:
            return await self.replica.fetch(query, **values)
        except Unavailable as outage:
            log.warning("The replica rests for %d s: %s", REST_SECONDS, outage.reason)
            self._rests_until = time.monotonic() + REST_SECONDS
        return await self.primary.fetch(query, **values)

    async def close(self) -> None:
        if self.replica is not None:
            await self.replica.close()
