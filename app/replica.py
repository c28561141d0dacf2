"""Reads that may be a moment old, from a replica where there is one."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from app.db import Database, Query
from app.errors import Unavailable

REST_SECONDS = 5
ALIVE = text("SELECT 1")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Replica:
    """Pages for administrators. Where the replica does not answer, the primary does."""

    primary: Database
    replica: Database | None = None
    rest_seconds: float = REST_SECONDS
    # There for as long as the replica is left out.
    _return: asyncio.Task[None] | None = None

    async def fetch(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        if self.replica is None or self._return is not None:
            return await self.primary.fetch(query, **values)
        try:
            return await self.replica.fetch(query, **values)
        except Unavailable as outage:
            log.warning("The replica is left out: %s", outage.reason)
            self._return = self._return or asyncio.create_task(self._come_back(self.replica))
        return await self.primary.fetch(query, **values)

    async def close(self) -> None:
        if self._return is not None:
            self._return.cancel()
        if self.replica is not None:
            await self.replica.close()

    async def _come_back(self, replica: Database) -> None:
        """Look whether it answers again, so that nobody has to wait for it who wants a page."""
        while True:
            await asyncio.sleep(self.rest_seconds)
            try:
                await replica.rows(ALIVE)
            except Exception as error:  # noqa: BLE001 - while it is made anew it refuses in many ways
                log.debug("The replica is still away: %s", type(error).__name__)
            else:
                break
        log.info("The replica answers again.")
        self._return = None
