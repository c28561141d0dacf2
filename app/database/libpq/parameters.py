"""The parameters of libpq and their environment variables, and which of them are supported."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from app.database.libpq.errors import InvalidDatabaseUrl

INTEGER = re.compile(r"\s*([+-]?\d{1,9})\s*")
PRINTABLE_NAME = re.compile(r"[\w.-]{1,63}")

Choice = TypeVar("Choice", bound=Enum)

# Each parameter of libpq 18 and its environment variable. Parameters that neither
# `read_database_url` uses nor `UNSUPPORTED` refuses are ignored: that makes nothing less safe.
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

# What the driver cannot do: the values that are allowed, and what to do instead.
NO_SERVICE_FILE = "is not read from a service file: write its parameters here"
NO_OAUTH = "cannot be used: Portico signs in to the database with a password or a certificate"
NO_SCRAM_KEYS = "cannot be used: set the password"
UNSUPPORTED: Mapping[str, tuple[frozenset[str], str]] = {
    "gssencmode": (
        frozenset({"disable", "prefer"}),
        "must be disable or prefer: GSSAPI encryption is not supported, use TLS (sslmode)",
    ),
    "min_protocol_version": (frozenset({"3.0"}), "must be 3.0, the version that Portico uses"),
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
        "cannot be enforced: use sslmode=verify-full, which verifies the server",
    ),
    "requirepeer": (
        frozenset(),
        "cannot be enforced: rely on the permissions of the socket directory",
    ),
    "scram_client_key": (frozenset(), NO_SCRAM_KEYS),
    "scram_server_key": (frozenset(), NO_SCRAM_KEYS),
    "service": (frozenset(), NO_SERVICE_FILE),
    "servicefile": (frozenset(), NO_SERVICE_FILE),
    "sslcertmode": (frozenset({"allow"}), "must be allow: anything else cannot be enforced"),
    "sslsni": (frozenset({"1"}), "must be 1: the server's name is always sent"),
}
# Unknown to libpq, but read by other programs from the same URL: what to do instead.
REMOVE = "remove it"
ADVICE: Mapping[str, str] = {
    "connection_limit": f"{REMOVE}, and set DATABASE_POOL_SIZE",
    "pgbouncer": f"{REMOVE}, and set DATABASE_PREPARED_STATEMENTS=false",
    "pool_timeout": REMOVE,
    "prepared_statement_cache_size": f"{REMOVE}, and set DATABASE_PREPARED_STATEMENTS=false",
    "schema": "write options=-csearch_path%3D and the name of the schema instead",
    "statement_cache_size": f"{REMOVE}, and set DATABASE_PREPARED_STATEMENTS=false",
}


def known_parameter(name: str, value: str) -> tuple[str, str]:
    """Returns a parameter under the name that libpq has for it."""
    if name == "requiressl":
        return "sslmode", "require" if value.startswith("1") else "prefer"
    if name == "ssl":
        # `ssl=true` is JDBC's spelling, which libpq accepts; `ssl=MODE` is asyncpg's.
        return "sslmode", "require" if value == "true" else value
    if name not in PARAMETERS:
        quoted = f": {name}" if PRINTABLE_NAME.fullmatch(name) else ""
        advice = f" ({ADVICE[name]})" if name in ADVICE else ""
        raise InvalidDatabaseUrl(f"has an unknown parameter{quoted}{advice}")
    return name, value


def with_environment(given: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    variables = {name: environment.get(variable or "") for name, variable in PARAMETERS.items()}
    surrounding = {name: value for name, value in variables.items() if value}
    return surrounding | {name: value for name, value in given.items() if value}


def refuse_unsupported(given: Mapping[str, str]) -> None:
    for name, (allowed, reason) in UNSUPPORTED.items():
        if name in given and given[name] not in allowed:
            raise InvalidDatabaseUrl(f"has {name}, which {reason}")


def read_choice(given: Mapping[str, str], name: str, default: Choice) -> Choice:
    kind = type(default)
    try:
        return kind(given[name]) if name in given else default
    except ValueError:
        allowed = ", ".join(str(choice.value) for choice in kind)
        raise InvalidDatabaseUrl(f"has {name}, which must be one of {allowed}") from None
