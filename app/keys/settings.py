"""The settings of the module `keys`."""

from pydantic import BaseModel, Field


class KeySettings(BaseModel):
    access_token_expire_minutes: int = Field(
        default=15,
        ge=1,
        le=24 * 60,
        description="how long another service may accept a token; Portico itself reads the "
        "session on each request",
    )
    signing_key_rotate_days: int = Field(
        default=30, ge=1, le=365, description="the age at which a signing key is replaced"
    )
