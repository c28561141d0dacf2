"""Settings, read from the environment and `.env`; nothing here connects to anything."""

import os
import re
from email.utils import parseaddr
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from zxcvbn import zxcvbn

from app.database_url import read
from app.security.password_strength import MAX_GUESSES

MIN_SECRET_BYTES = 32
PLACEHOLDERS = (
    "change",
    "secret",
    "example",
    "placeholder",
    "your-",
    "yourkey",
    "password",
    "xxxx",
)
# The key that FastAPI's tutorial shows, and what Django puts before the ones it makes for a start.
KNOWN_SECRETS = (
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "django-insecure",
)
# Of a random key zxcvbn estimates 10^29 and more; of alphabets and rows of the keyboard, 10^12.
MIN_GUESSES = 10**20
ESTIMATED_CHARACTERS = 72


class Settings(BaseSettings):
    """Each field is one environment variable; README says what breaks when it is wrong."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = None
    data_dir: Path = Path(".data")
    secret_key: SecretStr | None = None
    public_url: str = "http://127.0.0.1:8000"
    debug: bool | None = None

    access_token_expire_minutes: int = Field(default=15, ge=1, le=24 * 60)
    access_token_audience: str = "portico"  # noqa: S105 - a name, not a secret
    refresh_token_expire_days: int = Field(default=30, ge=1, le=365)
    session_max_days: int = Field(default=365, ge=1, le=3650)
    session_keep_ended_days: int = Field(default=30, ge=0, le=3650)
    signing_key_rotate_days: int = Field(default=30, ge=1, le=365)

    bcrypt_rounds: int = Field(default=12, ge=4, le=16)
    password_min_length: int = Field(default=8, ge=8, le=128)
    password_min_guesses: int = Field(default=500_000, ge=0, le=MAX_GUESSES)

    database_read_url: SecretStr | None = None
    database_prepared_statements: bool = True
    database_pool_size: int = Field(default=16, ge=5, le=200)
    database_timeout_seconds: float = Field(default=10, ge=0.5, le=300)
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    persisted_documents: Path | None = None
    persisted_documents_only: bool = False
    execution_plans: bool = True
    max_body_bytes: int = Field(default=64 * 1024, ge=1024)
    max_head_bytes: int = Field(default=16 * 1024, ge=1024)
    max_connections: int = Field(default=2000, ge=10)
    head_timeout_seconds: float = Field(default=8, gt=0)
    body_timeout_seconds: float = Field(default=8, gt=0)
    write_timeout_seconds: float = Field(default=20, gt=0)
    keep_alive_seconds: float = Field(default=75, gt=0)
    shutdown_delay_seconds: float = Field(default=0, ge=0, le=600)
    shutdown_timeout_seconds: int = Field(default=10, ge=1, le=600)

    limit_characters: int = Field(default=16_000, ge=1)
    limit_tokens: int = Field(default=1_000, ge=1)
    limit_comments: int = Field(default=50, ge=0)
    limit_depth: int = Field(default=12, ge=1)
    limit_introspection_depth: int = Field(default=16, ge=1)
    limit_fields: int = Field(default=400, ge=1)
    limit_aliases: int = Field(default=15, ge=0)
    limit_root_fields: int = Field(default=8, ge=1)
    limit_fragments: int = Field(default=20, ge=0)
    limit_spreads: int = Field(default=60, ge=0)
    limit_directives: int = Field(default=30, ge=0)
    limit_operations: int = Field(default=5, ge=1)
    limit_cost: int = Field(default=10_000, ge=1)

    email_verification: Literal["off", "required"] = "off"
    smtp_url: SecretStr | None = None
    mail_from: str = "Portico <portico@localhost>"
    frontend_url: str | None = None
    link_verify_email: str = "/verify-email#token={token}"
    link_reset_password: str = "/reset-password#token={token}"  # noqa: S105 - an address
    link_confirm_email: str = "/confirm-email#token={token}"
    jobs_worker: bool = True
    jobs_retake_seconds: int = Field(default=30, ge=2, le=3600)
    jobs_keep_days: int = Field(default=30, ge=1, le=3650)
    audit_keep_days: int | None = Field(default=None, ge=1, le=3650)
    breached_passwords_url: str | None = None
    breached_passwords_file: Path | None = None

    throttle_scale: float = Field(default=1.0, gt=0)
    throttle_account_and_address: int = Field(default=8, ge=1)
    throttle_account: int = Field(default=15, ge=1)
    throttle_address: int = Field(default=60, ge=1)
    throttle_device: int = Field(default=15, ge=1)
    throttle_devices: int = Field(default=45, ge=1)
    throttle_sign_ups: int = Field(default=30, ge=1)
    throttle_links: int = Field(default=60, ge=1)
    throttle_refreshes: int = Field(default=300, ge=1)
    throttle_passwords: int = Field(default=15, ge=1)
    throttle_mails: int = Field(default=3, ge=1)
    throttle_email_changes: int = Field(default=5, ge=1)
    throttle_invitations: int = Field(default=300, ge=1)
    throttle_profiles: int = Field(default=60, ge=1)
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()

    first_admin_email: str | None = None
    first_admin_password: SecretStr | None = None

    management_address: str | None = None
    access_log: bool = True
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        texts = value.split(",") if isinstance(value, str) else ()
        networks = tuple(text.strip() for text in texts if text.strip())
        for network in networks:
            if ip_network(network, strict=False).prefixlen == 0:
                msg = "must not trust everybody: anyone could then say where they come from"
                raise ValueError(msg)
        return networks

    @field_validator("management_address")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"off|([\d.]+|\[[\da-f:.]+\]):\d{1,5}", value):
            raise ValueError("must be an address and a port, such as 127.0.0.1:9464, or off")
        return value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_on_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://[^/*\s]+", origin):
                raise ValueError("must name each frontend, such as https://app.example.com; no *")
        return value

    @field_validator("database_url", "database_read_url")
    @classmethod
    def _postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            read(value.get_secret_value(), os.environ)
        return value

    @field_validator("public_url")
    @classmethod
    def _without_trailing_slash(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            msg = "must start with http:// or https://"
            raise ValueError(msg)
        return value.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _long_and_not_a_placeholder(cls, value: SecretStr | None) -> SecretStr | None:
        for key in value.get_secret_value().split(",") if value else ():
            check_secret(key.strip())
        return value

    @field_validator("mail_from")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if not re.fullmatch(r"[^@<>\s]+@[^@<>\s]+", parseaddr(value)[1]):
            msg = "must be an address, such as Portico <no-reply@example.com>"
            raise ValueError(msg)
        return value

    @field_validator("link_verify_email", "link_reset_password", "link_confirm_email")
    @classmethod
    def _with_a_token(cls, value: str) -> str:
        if "{token}" not in value:
            msg = "must have {token} in it, where the token goes"
            raise ValueError(msg)
        return value

    def link(self, page: str) -> str:
        """Give the address of a page of the frontend, whole."""
        base = (self.frontend_url or self.public_url).rstrip("/")
        return base + page if page.startswith("/") else page

    @property
    def embedded(self) -> bool:
        """Whether Portico brings its own database, as it does while none is named."""
        return self.database_url is None

    @property
    def explore(self) -> bool:
        """Whether GraphiQL, introspection and suggestions are on."""
        return self.embedded if self.debug is None else self.debug


def check_secret(key: str) -> None:
    """Refuse what could be guessed.

    Raises:
        ValueError: shorter than 32 bytes, a known placeholder, of too few different characters, or
            within reach of guessing.

    """
    if len(key.encode()) < MIN_SECRET_BYTES:
        msg = f"must be at least {MIN_SECRET_BYTES} bytes long"
        raise ValueError(msg)
    if any(known in key for known in KNOWN_SECRETS):
        raise ValueError("is printed in a tutorial: make one of your own")
    # Among many different characters such a word is an accident.
    wordy = len(set(key)) < 25 and any(word in key.lower() for word in PLACEHOLDERS)
    if wordy or len(set(key)) < MIN_SECRET_BYTES // 4:
        msg = "looks like a placeholder"
        raise ValueError(msg)
    if zxcvbn(key[:ESTIMATED_CHARACTERS])["guesses"] < MIN_GUESSES:
        raise ValueError("can be guessed: make one of random characters")
