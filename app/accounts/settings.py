"""The settings of the module `accounts`."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from app.mail.settings import LinkPage
from app.security.password_limits import MAX_GUESSES


class AccountSettings(BaseModel):
    password_min_length: int = Field(
        default=8,
        ge=8,
        le=128,
        description="the shortest password that is accepted, in characters; at least 8",
    )
    password_min_guesses: int = Field(
        default=500_000,
        ge=0,
        le=MAX_GUESSES,
        description="how many guesses a new password must take, at most 100000000; lower: easier "
        "passwords are accepted; 0 accepts `password` too",
    )
    breached_passwords_url: SecretStr | None = Field(
        default=None,
        description="a service in which new passwords are looked up, by the range protocol of "
        "Have I Been Pwned",
    )
    breached_passwords_file: Path | None = Field(
        default=None,
        description="a file in which new passwords are looked up: their SHA-1 in hex, sorted, one "
        "per line",
    )
    link_verify_email: LinkPage = Field(
        default="/verify-email#token={token}",
        description="the page that verifies an address, below `FRONTEND_URL` or a complete URL",
    )
    link_reset_password: LinkPage = Field(
        default="/reset-password#token={token}",
        description="the page that sets a new password, below `FRONTEND_URL` or a complete URL",
    )
    link_confirm_email: LinkPage = Field(
        default="/confirm-email#token={token}",
        description="the page that confirms a change of address, below `FRONTEND_URL` or a "
        "complete URL",
    )
