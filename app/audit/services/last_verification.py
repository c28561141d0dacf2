"""When the audit was last verified, by whichever `portico audit verify`, for metrics."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from app.audit.services.integrity import Verification


@dataclass(slots=True)
class LastVerification:
    verification: Verification
    found: Row[Any] | None = None
    is_known: bool = False

    async def look(self) -> None:
        self.found = await self.verification.last()
        self.is_known = True

    @property
    def at(self) -> float | None:
        """When, in seconds since 1970; 0 if never. None: not known yet."""
        if not self.is_known:
            return None
        return self.found.at.timestamp() if self.found else 0

    @property
    def is_valid(self) -> bool | None:
        return bool(self.found and self.found.valid) if self.is_known else None
