"""The parameters of libpq, and the environment variables that replace them."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from app.database.libpq.errors import InvalidDatabaseUrl

NUMBER = re.compile(r"\s*([+-]?\d{1,9})\s*")
PRINTABLE_NAME = re.compile(r"[\w.-]{1,63}")

Choice = TypeVar("Choice", bound=Enum)

# Each parameter of libpq 18 and the environment variable that stands in for it. What follows is
# taken over where `read` uses it, and refused where REFUSED says so; the rest is left out, because
# nothing becomes less safe by it.
PARAMETERS: Mapping[str, str | None] = {
    "application_name": "PGAPPNAME",
    "channel_binding": "PGCHANNELBINDING",
    "client_encoding": "PGCLIENTENCODING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "dbname": "PGDATABASE",
    "fallback_application_name": None,
    "gssdelegation": "PGGSSDELEGATION",
    "gssencmode": "PGGSSENCMODE",
    "gsslib": "PGGSSLIB",
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "keepalives": None,
    "keepalives_count": None,
    "keepalives_idle": None,
    "keepalives_interval": None,
    "krbsrvname": "PGKRBSRVNAME",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "max_protocol_version": "PGMAXPROTOCOLVERSION",
    "min_protocol_version": "PGMINPROTOCOLVERSION",
    "oauth_client_id": None,
    "oauth_client_secret": None,
    "oauth_issuer": None,
    "oauth_scope": None,
    "options": "PGOPTIONS",
    "passfile": "PGPASSFILE",
    "password": "PGPASSWORD",
    "port": "PGPORT",
    "replication": None,
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "scram_client_key": None,
    "scram_server_key": None,
    "service": None,
    "servicefile": None,
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "sslcert": "PGSSLCERT",
    "sslcertmode": "PGSSLCERTMODE",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslkey": "PGSSLKEY",
    "sslkeylogfile": None,
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslpassword": None,
    "sslrootcert": "PGSSLROOTCERT",
    "sslsni": "PGSSLSNI",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "tcp_user_timeout": None,
    "user": "PGUSER",
}

# What the driver cannot do: the values that ask for nothing else, and what to do instead.
NO_SERVICE = "is not read from a service file: write its parameters here"
NO_OAUTH = "cannot be used: Portico signs in to the database with a password or a certificate"
NO_KEYS = "cannot be used: set the password"
REFUSED: Mapping[str, tuple[frozenset[str], str]] = {
    "gssencmode": (
        frozenset({"disable", "prefer"}),
        "must be disable or prefer: there is no GSSAPI encryption, use TLS (sslmode)",
    ),
    "min_protocol_version": (frozenset({"3.0"}), "must be 3.0, the version that is spoken"),
    "oauth_client_id": (frozenset(), NO_OAUTH),
    "oauth_client_secret": (frozenset(), NO_OAUTH),
    "oauth_issuer": (frozenset(), NO_OAUTH),
    "oauth_scope": (frozenset(), NO_OAUTH),
    "replication": (
        frozenset({"false", "off", "no", "0"}),
        "cannot be used: Portico needs an ordinary connection",
    ),
    "require_auth": (
        frozenset(),
        "cannot be enforced: use sslmode=verify-full, which proves who the server is",
    ),
    "requirepeer": (frozenset(), "cannot be enforced: rely on the rights of the socket directory"),
    "scram_client_key": (frozenset(), NO_KEYS),
    "scram_server_key": (frozenset(), NO_KEYS),
    "service": (frozenset(), NO_SERVICE),
    "servicefile": (frozenset(), NO_SERVICE),
    "sslcertmode": (frozenset({"allow"}), "must be allow: anything else cannot be enforced"),
    "sslsni": (frozenset({"1"}), "must be 1: the server's name is always sent"),
}
# What other programs read from the same URL: libpq does not know it, and what to do instead.
REMOVE = "remove it"
FOREIGN: Mapping[str, str] = {
    "connection_limit": f"{REMOVE}, and set DATABASE_POOL_SIZE",
    "pgbouncer": f"{REMOVE}, and set DATABASE_PREPARED_STATEMENTS=false",
    "pool_timeout": REMOVE,
    "prepared_statement_cache_size": f"{REMOVE}, and set DATABASE_PREPARED_STATEMENTS=false",
    "schema": "write options=-csearch_path%3D and the name of the schema instead",
    "statement_cache_size": f"{REMOVE}, and set DATABASE_PREPARED_STATEMENTS=false",
}


def known_parameter(name: str, value: str) -> tuple[str, str]:
    """Give a parameter under its own name, if it has one."""
    if name == "requiressl":
        return "sslmode", "require" if value.startswith("1") else "prefer"
    if name == "ssl":
        # JDBC's spelling, which libpq takes too; with a mode it is asyncpg's.
        return "sslmode", "require" if value == "true" else value
    if name not in PARAMETERS:
        quoted = f": {name}" if PRINTABLE_NAME.fullmatch(name) else ""
        advice = f" ({FOREIGN[name]})" if name in FOREIGN else ""
        raise InvalidDatabaseUrl(f"has an unknown parameter{quoted}{advice}")
    return name, value


def with_environment(given: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    variables = {name: environment.get(variable or "") for name, variable in PARAMETERS.items()}
    surrounding = {name: value for name, value in variables.items() if value}
    return surrounding | {name: value for name, value in given.items() if value}


def refuse_unsupported(given: Mapping[str, str]) -> None:
    for name, (allowed, reason) in REFUSED.items():
        if name in given and given[name] not in allowed:
            raise InvalidDatabaseUrl(f"has {name}, which {reason}")


def choice(given: Mapping[str, str], name: str, default: Choice) -> Choice:
    kind = type(default)
    try:
        return kind(given[name]) if name in given else default
    except ValueError:
        allowed = ", ".join(str(choice.value) for choice in kind)
        raise InvalidDatabaseUrl(f"has {name}, which must be one of {allowed}") from None
