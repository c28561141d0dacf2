"""Settings, read from the environment and `.env`; nothing here connects to anything."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from dotenv.parser import parse_stream
from email_validator import EmailNotValidError
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    SettingsConfigDict,
)
from zxcvbn import zxcvbn

from app.config.secret_files import file_variable, read_secret
from app.config.setting_names import meant_by
from app.database.url import read
from app.errors import Misconfigured
from app.http.origins import read_origin
from app.security.password_hashes.bounds import MAX_OWN_BCRYPT_COST
from app.security.password_strength import MAX_GUESSES
from app.text.email_addresses import ascii_domain
from app.text.text_lines import is_line, normalised

ENV_FILE = ".env"
# Under this name a field says what stands in while it is not set, where that is no fixed value.
UNSET = "unset"
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
    """Each field is one environment variable, described for docs/operators/settings.md."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = Field(
        default=None,
        description="a `postgresql://` URL, PostgreSQL 15 or later, UTF-8, read as libpq does; "
        "unset: Portico runs its own in `DATA_DIR`",
        json_schema_extra={UNSET: "embedded"},
    )
    data_dir: Path = Field(
        default=Path(".data"),
        description="the directory of the embedded database and its secret; if it is lost, all "
        "data is lost",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="32 bytes or more; several are separated by commas: the first one seals, all "
        "of them open. If it is lost: `portico keys compromised`, after which all users sign in "
        "again",
        json_schema_extra={UNSET: "made once when embedded"},
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000",
        description="where clients reach Portico, and the issuer (`iss`) of tokens, below which "
        "other services find its keys. Servers that share a database need the same one; if it "
        "changes, tokens issued before are refused. `https://…` adds HSTS",
        json_schema_extra={UNSET: "follows `--host` and `--port`"},
    )
    debug: bool | None = Field(
        default=None,
        description='allows GraphiQL, introspection, "Did you mean" and email addresses below '
        "`.test`; on the open internet it shows the schema to everybody",
        json_schema_extra={UNSET: "true when embedded"},
    )

    access_token_expire_minutes: int = Field(
        default=15,
        ge=1,
        le=24 * 60,
        description="how long another service may accept a token; Portico itself reads the "
        "session on each request",
    )
    access_token_audience: str = Field(
        default="portico",
        description="the `aud` that other services must expect",
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
    signing_key_rotate_days: int = Field(
        default=30, ge=1, le=365, description="the age at which a signing key is replaced"
    )

    bcrypt_rounds: int = Field(
        default=12,
        ge=4,
        le=MAX_OWN_BCRYPT_COST,
        description="the cost of a password hash, each step doubles it; lower: also cheaper for "
        "attackers",
    )
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

    database_read_url: SecretStr | None = Field(
        default=None,
        description="a streaming replica for the pages of administrators, which may be a moment "
        "old then. While it does not answer, is behind or was promoted, the primary answers",
    )
    database_read_max_lag_seconds: float | Literal["off"] = Field(
        default=60,
        gt=0,
        le=24 * 3600,
        description="how far the replica may be behind before the primary answers. PostgreSQL "
        "itself lets long queries delay a replica by 30 seconds (`max_standby_streaming_delay`). "
        "`off`: it is not measured",
    )
    database_prepared_statements: bool = Field(
        default=True,
        description="set it to false behind a pooler in transaction mode that does not keep "
        "prepared statements (PgBouncer before 1.21, or without `max_prepared_statements`); "
        'otherwise: "prepared statement does not exist". A pooler that refuses startup parameters '
        "is detected without it",
    )
    database_pool_size: int = Field(
        default=16,
        ge=5,
        le=200,
        description="connections of each worker, at least 5; those of all workers must stay below "
        "the server's `max_connections`",
    )
    database_timeout_seconds: float = Field(
        default=10,
        ge=0.5,
        le=300,
        description="how long one statement may take; shorter: large searches fail; longer: a "
        "hanging database holds requests longer",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="origins of your frontends, separated by commas, and patterns such as "
        "`https://*.preview.example.com`; missing: browsers refuse the answers",
    )
    persisted_documents: Path | None = Field(
        default=None,
        description="a JSON file that maps hashes to documents, which run by `documentId`",
    )
    persisted_documents_only: bool = Field(
        default=False, description="refuses all other documents, those of GraphiQL too"
    )
    execution_plans: bool = Field(
        default=True,
        description="queries run by plans, which are made when an operation is sent a second "
        "time; false: graphql-core's executor runs everything",
    )
    max_body_bytes: int = Field(
        default=64 * 1024, ge=1024, description="requests with a longer body are refused with 413"
    )
    max_head_bytes: int = Field(
        default=16 * 1024, ge=1024, description="requests with a longer head are refused with 431"
    )
    max_connections: int = Field(
        default=2000,
        ge=10,
        description="connections of each worker; beyond it, the client that has taken longest to "
        "send a request is disconnected",
    )
    head_timeout_seconds: float = Field(
        default=8, gt=0, description="how long the head of a request may take to arrive"
    )
    body_timeout_seconds: float = Field(
        default=8, gt=0, description="how long the body of a request may take to arrive"
    )
    write_timeout_seconds: float = Field(
        default=20, gt=0, description="how long a client may take to read an answer"
    )
    keep_alive_seconds: float = Field(
        default=75,
        gt=0,
        description="how long an idle connection is kept open; if a proxy keeps its connections "
        "longer, some of its requests are lost",
    )
    shutdown_delay_seconds: float = Field(
        default=0,
        ge=0,
        le=600,
        description="how long `/health/ready` answers 503 after SIGTERM before the server stops; "
        "if a load balancer takes longer to notice: refused connections",
    )
    shutdown_timeout_seconds: int = Field(
        default=10, ge=1, le=600, description="how long running requests may take after that"
    )
    worker_timeout_seconds: float = Field(
        default=20,
        ge=2,
        le=600,
        description="a worker whose event loop does not run for this long is killed and replaced, "
        "if there are several; too short: workers that are only busy are killed too",
    )

    limit_characters: int = Field(default=16_000, ge=1, description="characters of a document")
    limit_tokens: int = Field(
        default=1_000, ge=1, description="tokens of a document, as GraphQL's lexer reads them"
    )
    limit_comments: int = Field(default=50, ge=0, description="comments of a document")
    limit_depth: int = Field(default=12, ge=1, description="levels of nested fields")
    limit_introspection_depth: int = Field(
        default=16, ge=1, description="levels of nested fields below `__schema` and `__type`"
    )
    limit_fields: int = Field(
        default=400, ge=1, description="fields of an operation, including those of its fragments"
    )
    limit_aliases: int = Field(default=15, ge=0, description="aliases of an operation")
    limit_root_fields: int = Field(default=8, ge=1, description="root fields of an operation")
    limit_fragments: int = Field(default=20, ge=0, description="fragments of a document")
    limit_spreads: int = Field(default=60, ge=0, description="fragment spreads of an operation")
    limit_directives: int = Field(default=30, ge=0, description="directives of a document")
    limit_operations: int = Field(default=5, ge=1, description="operations of a document")
    limit_cost: int = Field(
        default=10_000,
        ge=1,
        description="the cost of an operation: each field costs 1, times the entries of the pages "
        "it is on",
    )

    email_verification: Literal["off", "required"] = Field(
        default="off",
        description="`required`: users sign in only after they have opened a link in an email to "
        "their address",
    )
    email_domains_allowed: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="special-use domains whose addresses are accepted too, with all domains below "
        "them, separated by commas, such as `corp.local,lan`; missing in an inner network: its "
        "addresses are refused",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="`smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`; `?tls=none` "
        "for a relay without TLS. Unset with a database of yours: emails wait in the queue, and "
        "`EMAIL_VERIFICATION=required` refuses to start",
        json_schema_extra={UNSET: "console when embedded"},
    )
    mail_from: str = Field(
        default="Portico <portico@localhost>",
        description="the sender of emails; if the SMTP server does not accept it, emails fail and "
        "are kept",
    )
    product_name: str | None = Field(
        default=None,
        max_length=100,
        description="the name of the product in emails and GraphiQL; passwords made of it are "
        "refused",
        json_schema_extra={UNSET: "the name in `MAIL_FROM`"},
    )
    templates_dir: Path | None = Field(
        default=None,
        description="a directory of [templates of emails](emails.md), which replace those of the "
        "same names; a wrong one: the server does not start",
    )
    frontend_url: str | None = Field(
        default=None,
        description="the base of the pages that links in emails lead to",
        json_schema_extra={UNSET: "`PUBLIC_URL`"},
    )
    link_verify_email: str = Field(
        default="/verify-email#token={token}",
        description="the page that verifies an address, below `FRONTEND_URL` or a complete URL",
    )
    link_reset_password: str = Field(
        default="/reset-password#token={token}",
        description="the page that sets a new password, below `FRONTEND_URL` or a complete URL",
    )
    link_confirm_email: str = Field(
        default="/confirm-email#token={token}",
        description="the page that confirms a change of address, below `FRONTEND_URL` or a "
        "complete URL",
    )
    jobs_worker: bool = Field(
        default=True,
        description="whether `portico serve` runs jobs; false without a `portico worker`: no "
        "email is sent",
    )
    jobs_retake_seconds: int = Field(
        default=30,
        ge=2,
        le=3600,
        description="if a worker gives no sign of life for this long, other workers take its "
        "jobs; too short: jobs run twice",
    )
    jobs_keep_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="how long the record of a finished job is kept, and a job that failed after "
        "its last try",
    )
    audit_keep_days: int | None = Field(
        default=None,
        ge=1,
        le=3650,
        description="how long the audit keeps events, which are removed in whole days and "
        "announced in the audit; none: forever",
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

    throttle_scale: float = Field(
        default=1.0, gt=0, description="multiplies all limits on attempts; for load tests"
    )
    throttle_account_and_address: int = Field(
        default=8,
        ge=1,
        description="failed sign-ins to one account from one address, in 15 minutes",
    )
    throttle_account: int = Field(
        default=15,
        ge=1,
        description="failed sign-ins to one account from all unknown devices, in 15 minutes",
    )
    throttle_address: int = Field(
        default=60, ge=1, description="failed sign-ins from one address, in 5 minutes"
    )
    throttle_device: int = Field(
        default=15, ge=1, description="failed sign-ins from one known device, in 15 minutes"
    )
    throttle_devices: int = Field(
        default=45,
        ge=1,
        description="failed sign-ins to one account from all its known devices, in 15 minutes",
    )
    throttle_sign_ups: int = Field(
        default=30, ge=1, description="registrations from one address, in 10 minutes"
    )
    throttle_links: int = Field(
        default=60,
        ge=1,
        description="tokens of links, and requests for an email, from one address, in 5 minutes",
    )
    throttle_refreshes: int = Field(
        default=300, ge=1, description="unknown refresh tokens from one address, in 5 minutes"
    )
    throttle_passwords: int = Field(
        default=15,
        ge=1,
        description="wrong passwords that should confirm a change of one account, in 15 minutes",
    )
    throttle_mails: int = Field(
        default=3, ge=1, description="emails of one kind to one address, per hour"
    )
    throttle_email_changes: int = Field(
        default=5, ge=1, description="requests of one account for another email address, per day"
    )
    throttle_invitations: int = Field(
        default=300, ge=1, description="invitations by one administrator, per hour"
    )
    throttle_profiles: int = Field(default=60, ge=1, description="changes of one profile, per hour")
    throttle_deletions: int = Field(
        default=300, ge=1, description="accounts deleted by one administrator, per hour"
    )
    throttle_exports: int = Field(
        default=20, ge=1, description="copies of personal data made for one user, per hour"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="networks, separated by commas, whose `X-Forwarded-For` is trusted; missing "
        "behind a proxy: all clients have one address and share its limits; too wide: clients can "
        "choose their address",
    )

    first_admin_email: str | None = Field(
        default=None,
        description="the first administrator, who is made in an empty database only",
        json_schema_extra={UNSET: "`admin@example.com` when embedded"},
    )
    first_admin_password: SecretStr | None = Field(
        default=None,
        description="the password of the first administrator",
        json_schema_extra={UNSET: "made, and printed once"},
    )

    management_address: str | None = Field(
        default=None,
        description="where `portico serve` and `portico worker` serve `/metrics`, `/health/live` "
        "and `/health/ready`; `off`: nowhere. With `--workers` above 1, only `/metrics`. Do not "
        "open it to the internet: it tells strangers what your users do",
        json_schema_extra={UNSET: "`127.0.0.1:9464`, or nowhere if that is in use"},
    )
    access_log: bool = Field(
        default=True,
        description="writes a line to standard error for each request, ten times a second",
    )
    log_format: Literal["console", "json"] = Field(
        default="console",
        description="`json`: every command writes one JSON object per line to standard error; "
        "standard output stays as it is",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="`DEBUG`, `INFO`, `WARNING`, `ERROR`"
    )
    modules: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="modules from elsewhere, by their Python paths: `my_api.notes`",
    )
    unrelated_variables: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="names of variables, separated by commas, that belong to other programs "
        "although they look like misspelled settings",
    )

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

    @field_validator("email_domains_allowed", mode="before")
    @classmethod
    def _domains(cls, value: object) -> object:
        texts = value.split(",") if isinstance(value, str) else ()
        try:
            return tuple(ascii_domain(text.strip()) for text in texts if text.strip())
        except EmailNotValidError:
            raise ValueError("must be domains with commas, such as corp.local,lan") from None

    @field_validator("management_address")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"off|([\d.]+|\[[\da-f:.]+\]):\d{1,5}", value):
            raise ValueError("must be an address and a port, such as 127.0.0.1:9464, or off")
        return value

    @field_validator("modules", "unrelated_variables", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return _listed(value) if isinstance(value, str) else value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_on_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in value.split(",") if part.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        origins: list[str] = []
        for number, origin in enumerate(value, 1):
            try:
                origins.append(read_origin(origin))
            except ValueError as why:
                # Not what it is, which may hold a password.
                raise ValueError(f"{why}: see number {number} of {len(value)}") from None
        return tuple(origins)

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

    @field_validator("product_name")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        name = normalised(value or "")
        if name and not is_line(name):
            raise ValueError("must be one line of visible characters")
        return name or None

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
    def product(self) -> str:
        """The name of the product for people: PRODUCT_NAME, or that of the sender of emails."""
        return self.product_name or parseaddr(self.mail_from)[0] or "Portico"

    @property
    def email_domains(self) -> tuple[str, ...]:
        """Domains that are not public and of which users may have addresses."""
        return (*self.email_domains_allowed, "test") if self.explore else self.email_domains_allowed

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


@cache
def secret_files(kind: type[Settings]) -> Mapping[str, str]:
    """Return each setting that is a secret, and the variable that names a file with it."""
    return {
        name: file_variable(name)
        for name, field in kind.model_fields.items()
        if SecretStr in (field.annotation, *get_args(field.annotation))
    }


@dataclass(frozen=True, slots=True)
class Sources:
    """What the environment and `.env` say: lower-case names, without those that are empty."""

    kind: type[Settings]
    environment: dict[str, str]
    file: dict[str, str]

    def of(self, field: str) -> str:
        """Returns where the value of a setting comes from: the environment, `.env`, or a path."""
        path = self.secret_file(field)
        if path:
            return path
        if field in self.environment:
            return "environment"
        return ENV_FILE if field in self.file else "default"

    def secret_file(self, field: str) -> str | None:
        """Returns the path of the file that a setting is read from, if it is.

        The environment goes first, whether it has the value or names a file.
        """
        variable = secret_files(self.kind).get(field, "")
        for variables in (self.environment, self.file):
            if field in variables:
                return None
            if variable in variables:
                return variables[variable]
        return None


def read_settings_of(kind: type[Settings]) -> Settings:
    """Read settings from the environment, `.env`, and the files that these name for secrets.

    Raises:
        Misconfigured: names every setting that is wrong, and every variable whose name is nearly
            that of a setting, a line each; never a value that is secret.

    """
    sources = read_sources(kind)
    wrong = [*_empty(sources), *_unreadable_lines(), *_misspelled(sources), *_set_twice(sources)]
    secrets, unreadable = _read_secrets(sources)
    wrong += unreadable
    try:
        settings = kind(**secrets)
    except ValidationError as error:
        wrong += _invalid(error, secrets)
    else:
        if not wrong:
            return settings
    raise Misconfigured("\n".join(wrong))


def read_logging() -> tuple[str, str]:
    """Returns LOG_LEVEL and LOG_FORMAT, or their defaults if they are invalid.

    So that errors in other settings, or in these, are logged as somebody wants to have them.
    """
    try:
        sources = read_sources(Settings)
    except Misconfigured:
        sources = Sources(Settings, {}, {})
    found = sources.file | sources.environment
    return _one_of("log_level", found), _one_of("log_format", found)


def _one_of(name: str, found: dict[str, str]) -> str:
    field = Settings.model_fields[name]
    value = found.get(name)
    return value if value and value in get_args(field.annotation) else str(field.default)


def named_modules() -> tuple[str, ...]:
    """Return what MODULES names, before anything else is read: they bring settings too."""
    sources = read_sources(Settings)
    return _listed((sources.file | sources.environment).get("modules", ""))


def read_sources(kind: type[Settings]) -> Sources:
    """Read what is set, without judging it.

    Raises:
        Misconfigured: `.env` is not text.

    """
    try:
        file = DotEnvSettingsSource(kind).env_vars
    except UnicodeDecodeError:
        raise Misconfigured(f"{ENV_FILE} is not UTF-8 text.") from None
    environment = EnvSettingsSource(kind).env_vars
    return Sources(
        kind,
        {name: value for name, value in environment.items() if value},
        {name: value for name, value in file.items() if value},
    )


def _read_secrets(sources: Sources) -> tuple[dict[str, Any], list[str]]:
    """Returns the secrets that are in files, and a line for each file that cannot be used."""
    secrets: dict[str, Any] = {}
    unreadable: list[str] = []
    for field, variable in secret_files(sources.kind).items():
        path = sources.secret_file(field)
        if path is None:
            continue
        try:
            secrets[field] = SecretStr(read_secret(path))
        except ValueError as why:
            unreadable.append(f"{variable.upper()}: the file {why}.")
    return secrets, unreadable


def _set_twice(sources: Sources) -> Iterator[str]:
    for place, variables in ((f" in {ENV_FILE}", sources.file), ("", sources.environment)):
        for field, variable in secret_files(sources.kind).items():
            if field in variables and variable in variables:
                yield f"{field.upper()} and {variable.upper()} are both set{place}: unset one."


def unknown_in_file(sources: Sources) -> list[str]:
    """Returns the names in `.env` that nothing reads, but for those in UNRELATED_VARIABLES."""
    unrelated = (name.lower() for name in _unrelated(sources))
    known = {*sources.kind.model_fields, *secret_files(sources.kind).values(), *unrelated}
    return sorted(name.upper() for name in sources.file if name.lower() not in known)


def _empty(sources: Sources) -> Iterator[str]:
    """Name what is meant to be set from outside and was not: its default is another database."""
    names = {name.upper() for name, value in os.environ.items() if not value}
    if "DATABASE_URL" in names and "database_url_file" not in sources.environment:
        yield (
            "DATABASE_URL is set and empty: set it to the address of the database, or unset it for "
            "the embedded one."
        )
    if "DATABASE_URL_FILE" in names and "database_url" not in sources.environment:
        yield (
            "DATABASE_URL_FILE is set and empty: set it to the path of a file with the address of "
            "the database, or unset it for the embedded one."
        )


def _unreadable_lines() -> Iterator[str]:
    """Name the lines of `.env` that set nothing, which would be left out without a word."""
    path = Path(ENV_FILE)
    if not path.is_file():
        return
    with path.open(encoding="utf-8-sig") as file:
        for binding in parse_stream(file):
            if binding.error or (binding.key and binding.value is None):
                # It begins with the empty lines before it.
                text = binding.original.string
                empty = text[: len(text) - len(text.lstrip())].count("\n")
                yield f"{ENV_FILE}, line {binding.original.line + empty}, is not NAME=value."


def _unrelated(sources: Sources) -> set[str]:
    listed = (sources.file | sources.environment).get("unrelated_variables", "")
    return {name.upper() for name in _listed(listed)}


def _misspelled(sources: Sources) -> Iterator[str]:
    settings = [field.upper() for field in sources.kind.model_fields]
    files = [variable.upper() for variable in secret_files(sources.kind).values()]
    unrelated = _unrelated(sources)
    for place, variables in ((f" in {ENV_FILE}", sources.file), ("", sources.environment)):
        for variable in sorted({name.upper() for name in variables} - unrelated):
            # The environment is shared with other programs, the file is written for this one.
            meant = meant_by(variable, settings, files, strict=variables is sources.file)
            if meant:
                yield (
                    f"{variable}{place} is not a setting. Did you mean {' or '.join(meant)}? "
                    "If it belongs to another program, add it to UNRELATED_VARIABLES."
                )


def _invalid(error: ValidationError, from_files: Collection[str]) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        field = str(each["loc"][0]) if each["loc"] else "The settings"
        name = field.upper() if each["loc"] else field
        if field in from_files:
            name += f", read from {file_variable(field).upper()},"
        said = each["msg"].removeprefix("Value error, ")
        yield f"{name} {said.replace('Input should', 'must', 1)}."


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
