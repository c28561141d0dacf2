"""The settings of the module `sessions`."""

from pydantic import BaseModel, Field

from app.security.password_hashes.bounds import MAX_OWN_BCRYPT_COST


class SessionSettings(BaseModel):
    access_token_audience: str = Field(
        default="portico",
        description="the `aud` of access tokens, which other services must check",
    )
    refresh_token_expire_days: int = Field(
        default=30, ge=1, le=365, description="an unused session ends after this"
    )
    session_max_days: int = Field(
        default=365, ge=1, le=3650, description="any session ends after this"
    )
    session_keep_ended_days: int = Field(
        default=30, ge=0, le=3650, description="how long the row of an ended session is kept"
    )
    bcrypt_rounds: int = Field(
        default=12,
        ge=4,
        le=MAX_OWN_BCRYPT_COST,
        description="the cost of a password hash, each step doubles it; lower: also cheaper for "
        "attackers",
    )
