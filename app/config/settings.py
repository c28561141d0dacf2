"""The settings of the platform; those of modules are in `app/<module>/settings.py`."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.config import secret_strength
from app.config.lists import parts
from app.database.libpq.database_url import read_database_url
from app.text.origins import read_origin

ENV_FILE = ".env"
# The key of the text that documents a default which is not a fixed value.
UNSET = "unset"


class PlatformSettings(BaseSettings):
    """Each field is one environment variable, described for docs/operators/settings.md.

    The class that is loaded adds the settings of modules: `app/modules.py::settings_class`.
    """

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
        "changes, tokens issued before are refused. `https://…` adds HSTS. Except on loopback, the "
        "session cookie of browsers is for https only",
        json_schema_extra={UNSET: "follows `--host` and `--port`"},
    )
    debug: bool | None = Field(
        default=None,
        description='allows GraphiQL, introspection, "Did you mean" and email addresses below '
        "`.test`; on the open internet it shows the schema to everybody",
        json_schema_extra={UNSET: "true when embedded"},
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
        "`https://*.preview.example.com` and `http://localhost:*`; missing: browsers refuse the "
        "answers",
        json_schema_extra={UNSET: "any port of loopback when embedded"},
    )
    persisted_documents: Path | None = Field(
        default=None,
        description="a JSON file that maps hashes to documents, which run by `documentId`",
    )
    persisted_documents_only: bool = Field(
        default=False, description="refuses all other documents, those of GraphiQL too"
    )
    execution_plans: Literal["repeated", "all", "none"] = Field(
        default="repeated",
        description="which operations run by plans: `repeated`, from the second time that one is "
        "sent; `all`, from the first; `none`: graphql-core's executor runs everything",
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
        "it is on (50 without `first` and `last`); a field with `@cost` costs that, once for its "
        "page",
    )

    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="networks, separated by commas, whose `X-Forwarded-For` is trusted; missing "
        "behind a proxy: all clients have one address and share its limits; too wide: clients can "
        "choose their address",
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
        description="modules from elsewhere, by the Python paths of packages whose `module.py` "
        "holds `MODULE`: `my_api.notes`; several are separated by commas",
    )
    unrelated_variables: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="names of variables, separated by commas, that belong to other programs "
        "although they look like misspelled settings",
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        networks = parts(value) if isinstance(value, str) else ()
        for network in networks:
            if ip_network(network, strict=False).prefixlen == 0:
                msg = "must not trust every address: any client could then choose its own address"
                raise ValueError(msg)
        return networks

    @field_validator("management_address")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"off|([\d.]+|\[[\da-f:.]+\]):\d{1,5}", value):
            raise ValueError("must be an address and a port, such as 127.0.0.1:9464, or off")
        return value

    @field_validator("cors_origins", "modules", "unrelated_variables", mode="before")
    @classmethod
    def _split_on_commas(cls, value: object) -> object:
        return parts(value) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        origins: list[str] = []
        for number, origin in enumerate(value, 1):
            try:
                origins.append(read_origin(origin))
            except ValueError as why:
                # Not its text, which may contain a password.
                raise ValueError(f"{why}: see number {number} of {len(value)}") from None
        return tuple(origins)

    @field_validator("database_url", "database_read_url")
    @classmethod
    def _postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            read_database_url(value.get_secret_value(), os.environ)
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
        if value is not None:
            for key in value.get_secret_value().split(","):
                secret_strength.check(key.strip())
        return value

    @property
    def embedded(self) -> bool:
        """Whether Portico runs its own database, as it does without DATABASE_URL."""
        return self.database_url is None

    @property
    def explore(self) -> bool:
        """Whether GraphiQL, introspection and suggestions are on."""
        return self.embedded if self.debug is None else self.debug
