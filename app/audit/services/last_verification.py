"""The last verification of the audit, by any run of `portico audit verify`, for metrics."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from app.audit.services.integrity.records import VerificationRecords


@dataclass(slots=True)
class LastVerification:
    """Reports no verification until the first refresh."""

    records: VerificationRecords
    record: Row[Any] | None = None

    async def refresh(self) -> None:
        self.record = await self.records.last()

    @property
    def at(self) -> float:
        """When, in seconds since 1970; 0 if never."""
        return self.record.at.timestamp() if self.record else 0

    @property
    def is_valid(self) -> bool:
        return bool(self.record and self.record.valid)
