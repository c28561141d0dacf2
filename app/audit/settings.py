"""The settings of the module `audit`."""

from pydantic import BaseModel, Field


class AuditSettings(BaseModel):
    audit_keep_days: int | None = Field(
        default=None,
        ge=1,
        le=3650,
        description="how long the audit keeps events, which are removed in whole days and "
        "announced in the audit; none: forever",
    )
