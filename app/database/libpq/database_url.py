"""Reads `DATABASE_URL` as libpq reads a connection URI (PostgreSQL manual, 34.1.1.2 and 34.1.2)."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from app.database.libpq.errors import InvalidDatabaseUrl
from app.database.libpq.hosts import Host, read_hosts
from app.database.libpq.parameters import INTEGER, read_choice, refuse_unsupported, with_environment
from app.database.libpq.tls_parameters import Tls, read_tls, refuse_unverified_server
from app.database.libpq.uri import split_uri

MAX_SECONDS = 86_400


class SessionAttributes(Enum):
    """What a host must be, if there are several (`target_session_attrs`)."""

    ANY = "any"
    READ_WRITE = "read-write"
    READ_ONLY = "read-only"
    PRIMARY = "primary"
    STANDBY = "standby"
    PREFER_STANDBY = "prefer-standby"


class LoadBalancing(Enum):
    DISABLE = "disable"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """How to connect. `connect_seconds` is the timeout for each host."""

    hosts: tuple[Host, ...]
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    password_file: str | None = None
    application_name: str | None = None
    options: str | None = None
    connect_seconds: int | None = None
    session: SessionAttributes = SessionAttributes.ANY
    load_balanced: bool = False
    tls: Tls = field(default_factory=Tls)


def read_database_url(text: str, environment: Mapping[str, str]) -> DatabaseUrl:
    """Read a URI; missing parameters come from libpq's environment variables, then its defaults.

    Raises:
        InvalidDatabaseUrl: the URI is invalid, or needs something that is not supported.

    """
    given = with_environment(split_uri(text), environment)
    refuse_unsupported(given)
    user = given.get("user") or _system_user()
    url = DatabaseUrl(
        hosts=tuple(read_hosts(given)),
        user=user,
        database=given.get("dbname", user),
        password=given.get("password"),
        password_file=given.get("passfile"),
        application_name=given.get("application_name", given.get("fallback_application_name")),
        options=given.get("options"),
        connect_seconds=_connect_timeout(given),
        session=read_choice(given, "target_session_attrs", SessionAttributes.ANY),
        load_balanced=read_choice(given, "load_balance_hosts", LoadBalancing.DISABLE)
        is LoadBalancing.RANDOM,
        tls=read_tls(given),
    )
    refuse_unverified_server(given, url.tls, url.hosts)
    return url


def _system_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise InvalidDatabaseUrl("must name a user: the current system user has no name") from None


def _connect_timeout(given: Mapping[str, str]) -> int | None:
    """Returns the timeout in seconds; None for 0 too, which means no timeout in libpq."""
    if "connect_timeout" not in given:
        return None
    number = INTEGER.fullmatch(given["connect_timeout"])
    if number is None or int(number[1]) > MAX_SECONDS:
        raise InvalidDatabaseUrl(f"must have connect_timeout in seconds, at most {MAX_SECONDS}")
    return max(0, int(number[1])) or None
