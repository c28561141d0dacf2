"""Database errors in one line for operators: what to do, and the message of the server."""

import socket
import ssl
from collections.abc import Mapping, Sequence

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import CommitUnknown, Misconfigured, Unavailable

# The severities with which a server, or a pooler before it, ends a session (PostgreSQL, 54.8).
FATAL_SEVERITIES = ("FATAL", "PANIC")
# The class "data exception" (PostgreSQL, appendix A): its messages quote the value.
DATA_EXCEPTION = "22"
NOT_WRITABLE = (
    "The server accepts no changes: it is a standby, or read-only. "
    "DATABASE_URL has to name the primary."
)
PREPARED_STATEMENTS_OFF = "A pooler in transaction mode needs DATABASE_PREPARED_STATEMENTS=false."
NAME_CONFLICT = (
    "An object of this name exists that Portico did not create. "
    "Use a separate database or schema for Portico."
)
CERTIFICATE_NOT_VERIFIED = (
    "The TLS certificate of the database server could not be verified. "
    "Check sslrootcert, and that the host in DATABASE_URL is the one in the certificate."
)
# By the beginning of the SQLSTATE; the longest match counts.
HINTS_BY_SQLSTATE: Mapping[str, str] = {
    "08": "The connection was refused or broke: is PostgreSQL, or its pooler, at this address?",
    "08P01": "The server, or the pooler before it, refuses this connection.",
    "0A": "The server cannot do what Portico needs. It has to be PostgreSQL 15 or later.",
    "25006": NOT_WRITABLE,
    "26000": PREPARED_STATEMENTS_OFF,
    "28": "The server refuses this role. Check the user in DATABASE_URL and pg_hba.conf.",
    "28P01": "The server does not accept the user and password in DATABASE_URL.",
    "3D000": "The database in DATABASE_URL does not exist. Create it, or correct its name.",
    "3F000": (
        "No schema on the search_path of this role exists. Create one with CREATE SCHEMA, "
        "or set another search_path."
    ),
    "42501": (
        "The role in DATABASE_URL lacks a privilege. `portico db upgrade` needs USAGE and CREATE "
        "on the schema and has to own the tables; all other commands need the privileges that "
        "`portico db grant ROLE` grants."
    ),
    "42601": "The server does not know this statement. It has to be PostgreSQL 15 or later.",
    "42P01": (
        "A table is missing. Run `portico db upgrade`, and check the search_path of this role."
    ),
    "42P05": PREPARED_STATEMENTS_OFF,
    "42P07": NAME_CONFLICT,
    "42710": NAME_CONFLICT,
    "42723": NAME_CONFLICT,
    "53100": "The disk of the database server is full.",
    "53300": (
        "The server has no connection left for this role. Lower DATABASE_POOL_SIZE or --workers, "
        "raise max_connections, or use a pooler."
    ),
    "55P03": "Another transaction holds a lock that is needed. Try again when it has ended.",
    "57014": "A statement took longer than DATABASE_TIMEOUT_SECONDS allows.",
    "57P": "The server is starting, stopping or recovering. Try again in a moment.",
}
# For SQLSTATEs with several causes: by a part of the message.
HINTS_BY_MESSAGE: Mapping[tuple[str, str], str] = {
    # The driver's SQLSTATE for every broken connection; PgBouncer's message follows.
    ("08003", "statement pooling mode"): (
        "A pooler in statement mode cannot serve Portico: use transaction or session mode."
    ),
    ("42601", "command-line argument"): (
        "`options` in DATABASE_URL, or PGOPTIONS, has a setting that this server does not know."
    ),
}
# The first match counts: later ones are more general.
HINTS_BY_TYPE: Sequence[tuple[type[BaseException], str]] = (
    (
        ssl.SSLCertVerificationError,
        CERTIFICATE_NOT_VERIFIED,
    ),
    (ssl.SSLError, "TLS with the database server failed. Check sslmode and the certificates."),
    (socket.gaierror, "The host in DATABASE_URL was not found."),
    (
        ConnectionRefusedError,
        "Nothing listens at the address in DATABASE_URL. Is PostgreSQL running there?",
    ),
    (FileNotFoundError, "The socket or a file that DATABASE_URL names does not exist."),
    (PermissionError, "No permission to open the socket or a file that DATABASE_URL names."),
    (
        TimeoutError,
        "The database did not answer in time. Check the address in DATABASE_URL and firewalls.",
    ),
    (PoolTimeout, "No connection to the database became free in time."),
    (
        OSError,
        "The database could not be reached. Check the address and sslmode in DATABASE_URL.",
    ),
)
NO_HINT = "The database reported an error."


def sqlstate(error: BaseException) -> str:
    """Returns the SQLSTATE (PostgreSQL, appendix A) that the server sent, or ""."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlstate", None) or ""


def ended_session(error: BaseException) -> bool:
    """Whether the server, or the pooler, has ended the session with this error.

    A pooler that finds no server for a statement does so too, with SQLSTATEs of its own.
    """
    message = getattr(error, "driver_exception", error)
    # `severity_en` is never translated; poolers omit it.
    severity = getattr(message, "severity_en", None) or getattr(message, "severity", None)
    return severity in FATAL_SEVERITIES


def explanation(error: BaseException) -> str:
    """Returns one line: a hint for this kind of error, and the message of the server or system.

    It contains neither the detail of the server's message, which may quote rows, nor the URL.
    """
    cause = cause_of(error)
    if isinstance(cause, Misconfigured):
        return str(cause)
    message = server_message(cause)
    if sqlstate(cause):
        message = f"PostgreSQL says: {message}"
    hint = error.message if isinstance(error, CommitUnknown) else _hint(cause)
    return f"{hint} {message}".rstrip()


def server_message(error: BaseException) -> str:
    """Returns the primary message of the server with its SQLSTATE, or that of the system.

    For an outage without a message, its reason. For any other error, "".
    """
    cause = cause_of(error)
    state = sqlstate(cause)
    if state.startswith(DATA_EXCEPTION):
        return f"invalid value ({state})"
    if state:
        return f"{_message(cause)} ({state})"
    if isinstance(cause, Misconfigured):
        return str(cause)
    message = _message(cause) if isinstance(cause, SQLAlchemyError | OSError) else ""
    if not message and isinstance(error, Unavailable):
        return error.reason
    return message


def cause_of(error: BaseException) -> BaseException:
    """Returns the error of the driver or the system that an outage was raised from."""
    while isinstance(error, Unavailable) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _hint(error: BaseException) -> str:
    state = sqlstate(error)
    for (known, part), hint in HINTS_BY_MESSAGE.items():
        if state == known and part in _message(error):
            return hint
    for length in range(len(state), 0, -1):
        if state[:length] in HINTS_BY_SQLSTATE:
            return HINTS_BY_SQLSTATE[state[:length]]
    return next((hint for kind, hint in HINTS_BY_TYPE if isinstance(error, kind)), NO_HINT)


def _message(error: BaseException) -> str:
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, OSError):
        return " ".join(str(original).split())
    # The first argument is the primary message; str() would add detail and hint.
    first = original.args[0] if original is not None and original.args else ""
    return " ".join(str(first).split())
