"""Reads `DATABASE_URL` as libpq reads a connection URI (PostgreSQL manual, 34.1.1.2 and 34.1.2)."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from app.database.libpq.errors import InvalidDatabaseUrl
from app.database.libpq.hosts import Host, hosts_of
from app.database.libpq.parameters import NUMBER, choice, refuse_unsupported, with_environment
from app.database.libpq.tls_parameters import Tls, refuse_unproved_server, tls_of
from app.database.libpq.uri import parameters_of

MAX_SECONDS = 86_400


class SessionAttributes(Enum):
    """Which of several hosts will do."""

    ANY = "any"
    READ_WRITE = "read-write"
    READ_ONLY = "read-only"
    PRIMARY = "primary"
    STANDBY = "standby"
    PREFER_STANDBY = "prefer-standby"


class Balancing(Enum):
    DISABLE = "disable"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """What a connection needs to know. `connect_seconds` is for each host."""

    hosts: tuple[Host, ...]
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    password_file: str | None = None
    application_name: str | None = None
    options: str | None = None
    connect_seconds: int | None = None
    session: SessionAttributes = SessionAttributes.ANY
    balanced: bool = False
    tls: Tls = field(default_factory=Tls)


def read(text: str, environment: Mapping[str, str]) -> DatabaseUrl:
    """Read a URI; what it leaves out comes from libpq's environment variables, then its defaults.

    Raises:
        InvalidDatabaseUrl: it is no such URI, or asks for what cannot be had.

    """
    given = with_environment(parameters_of(text), environment)
    refuse_unsupported(given)
    user = given.get("user") or _system_user()
    url = DatabaseUrl(
        hosts=tuple(hosts_of(given)),
        user=user,
        database=given.get("dbname", user),
        password=given.get("password"),
        password_file=given.get("passfile"),
        application_name=given.get("application_name", given.get("fallback_application_name")),
        options=given.get("options"),
        connect_seconds=_seconds(given),
        session=choice(given, "target_session_attrs", SessionAttributes.ANY),
        balanced=choice(given, "load_balance_hosts", Balancing.DISABLE) is Balancing.RANDOM,
        tls=tls_of(given),
    )
    refuse_unproved_server(given, url.tls, url.hosts)
    return url


def _system_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise InvalidDatabaseUrl("must name a user: the system has no name for its own") from None


def _seconds(given: Mapping[str, str]) -> int | None:
    """Give the limit; None for libpq's "wait for ever" too, since requests would."""
    if "connect_timeout" not in given:
        return None
    number = NUMBER.fullmatch(given["connect_timeout"])
    if number is None or int(number[1]) > MAX_SECONDS:
        raise InvalidDatabaseUrl(f"must have connect_timeout in seconds, at most {MAX_SECONDS}")
    return max(0, int(number[1])) or None
