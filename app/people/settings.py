"""The settings of the module `people`."""

from pydantic import BaseModel, Field, SecretStr

from app.config.settings import UNSET


class PeopleSettings(BaseModel):
    first_admin_email: str | None = Field(
        default=None,
        description="the first administrator, created in an empty database only",
        json_schema_extra={UNSET: "`admin@example.com` when embedded"},
    )
    first_admin_password: SecretStr | None = Field(
        default=None,
        description="the password of the first administrator",
        json_schema_extra={UNSET: "generated, and printed once"},
    )
