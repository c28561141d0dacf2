"""When the audit was last verified, by whichever `portico audit verify`, for metrics."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from app.audit.services.integrity.records import VerificationRecords


@dataclass(slots=True)
class LastVerification:
    """As far as it is known here: as if there was none, until the first look."""

    records: VerificationRecords
    found: Row[Any] | None = None

    async def look(self) -> None:
        self.found = await self.records.last()

    @property
    def at(self) -> float:
        """When, in seconds since 1970; 0 if never."""
        return self.found.at.timestamp() if self.found else 0

    @property
    def is_valid(self) -> bool:
        return bool(self.found and self.found.valid)
