"""Errors of the database in one line for operators: what to do, and what the other side said."""

import socket
import ssl
from collections.abc import Mapping, Sequence

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoneFree

from app.errors import CommitUnknown, Misconfigured, Unavailable

# The severities with which a server, or a pooler before it, ends a session (PostgreSQL, 54.8).
LAST_WORDS = ("FATAL", "PANIC")
# The class "data exception" (PostgreSQL, appendix A): its messages quote the value.
DATA_EXCEPTION = "22"
STANDBY = (
    "The server accepts no changes: it is a standby, or read-only. "
    "DATABASE_URL has to name the primary."
)
POOLER = "A pooler in transaction mode needs DATABASE_PREPARED_STATEMENTS=false."
TAKEN = (
    "Something of this name exists that Portico has not made. "
    "Give Portico a database or a schema of its own."
)
CERTIFICATE = (
    "The TLS certificate of the database server could not be verified. "
    "Check sslrootcert, and that the host in DATABASE_URL is the one in the certificate."
)
# By how an SQLSTATE begins; the longest that fits counts.
HINTS: Mapping[str, str] = {
    "08": "The connection was refused or broke: is PostgreSQL, or its pooler, at this address?",
    "08P01": "The server, or the pooler before it, refuses this connection.",
    "0A": "The server cannot do what Portico needs. It has to be PostgreSQL 15 or later.",
    "25006": STANDBY,
    "26000": POOLER,
    "28": "The server does not let this role in. Check the user in DATABASE_URL and pg_hba.conf.",
    "28P01": "The server does not accept the user and password in DATABASE_URL.",
    "3D000": "The database in DATABASE_URL does not exist. Create it, or correct its name.",
    "3F000": (
        "No schema on the search_path of this role exists. Create one with CREATE SCHEMA, "
        "or set another search_path."
    ),
    "42501": (
        "The role in DATABASE_URL lacks a privilege. `portico db upgrade` needs USAGE and CREATE "
        "on the schema and has to own the tables; every other command needs what their owner gives "
        "with `portico db grant ROLE`."
    ),
    "42601": "The server does not understand a statement. It has to be PostgreSQL 15 or later.",
    "42P01": (
        "A table is missing. Run `portico db upgrade`, and check the search_path of this role."
    ),
    "42P05": POOLER,
    "42P07": TAKEN,
    "42710": TAKEN,
    "42723": TAKEN,
    "53100": "The disk of the database server is full.",
    "53300": (
        "The server has no connection left for this role. Lower DATABASE_POOL_SIZE or --workers, "
        "raise max_connections, or put a pooler in between."
    ),
    "55P03": "Another transaction holds a lock that is needed. Try again when it is over.",
    "57014": "A statement took longer than DATABASE_TIMEOUT_SECONDS allows.",
    "57P": "The server is starting, stopping or recovering. Try again in a moment.",
}
# Where the SQLSTATE alone would not tell: what the message has in it.
HINTS_OF_MESSAGES: Mapping[tuple[str, str], str] = {
    # The driver's own for every connection that broke, with PgBouncer's words behind.
    ("08003", "statement pooling mode"): (
        "A pooler in statement mode cannot serve Portico: use transaction or session mode."
    ),
    ("42601", "command-line argument"): (
        "`options` in DATABASE_URL, or PGOPTIONS, has something that this server does not know."
    ),
}
# The first that fits counts: later ones are more general.
HINTS_OF_KINDS: Sequence[tuple[type[BaseException], str]] = (
    (
        ssl.SSLCertVerificationError,
        CERTIFICATE,
    ),
    (ssl.SSLError, "TLS with the database server failed. Check sslmode and the certificates."),
    (socket.gaierror, "The host in DATABASE_URL was not found."),
    (
        ConnectionRefusedError,
        "Nothing listens at the address in DATABASE_URL. Does PostgreSQL run there?",
    ),
    (FileNotFoundError, "The socket or a file that DATABASE_URL names does not exist."),
    (PermissionError, "The socket or a file that DATABASE_URL names may not be opened."),
    (
        TimeoutError,
        "The database did not answer in time. Check the address in DATABASE_URL and firewalls.",
    ),
    (NoneFree, "No connection to the database became free in time."),
    (
        OSError,
        "The database could not be reached. Check the address and sslmode in DATABASE_URL.",
    ),
)
UNKNOWN = "The database could not do this."


def sqlstate(error: BaseException) -> str:
    """Returns the SQLSTATE (PostgreSQL, appendix A) that the server sent, or ""."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlstate", None) or ""


def ended_session(error: BaseException) -> bool:
    """Whether this was the last that the server, or the pooler, says in its session.

    A pooler that finds no server for a statement says it so, with codes of its own.
    """
    message = getattr(error, "driver_exception", error)
    # The first is never translated; poolers leave it out.
    severity = getattr(message, "severity_en", None) or getattr(message, "severity", None)
    return severity in LAST_WORDS


def explanation(error: BaseException) -> str:
    """Returns one line: a hint if there is one for this kind of error, and what was said.

    Neither the detail of the server's message, which may quote rows, nor anything of the URL.
    """
    cause = cause_of(error)
    if isinstance(cause, Misconfigured):
        return str(cause)
    heard = said(cause)
    if sqlstate(cause):
        heard = f"PostgreSQL says: {heard}"
    hint = error.message if isinstance(error, CommitUnknown) else _hint(cause)
    return f"{hint} {heard}".rstrip()


def said(error: BaseException) -> str:
    """Returns the server's primary message with its SQLSTATE, or that of the system on the way.

    Of an outage of which nobody said anything, the reason. "" for any other error.
    """
    cause = cause_of(error)
    state = sqlstate(cause)
    if state.startswith(DATA_EXCEPTION):
        return f"a value does not fit ({state})"
    if state:
        return f"{_message(cause)} ({state})"
    if isinstance(cause, Misconfigured):
        return str(cause)
    heard = _message(cause) if isinstance(cause, SQLAlchemyError | OSError) else ""
    if not heard and isinstance(error, Unavailable):
        return error.reason
    return heard


def cause_of(error: BaseException) -> BaseException:
    """Returns what the driver or the system raised; an outage stands before it in the chain."""
    while isinstance(error, Unavailable) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _hint(error: BaseException) -> str:
    state = sqlstate(error)
    for (known, words), hint in HINTS_OF_MESSAGES.items():
        if state == known and words in _message(error):
            return hint
    for length in range(len(state), 0, -1):
        if state[:length] in HINTS:
            return HINTS[state[:length]]
    return next((hint for kind, hint in HINTS_OF_KINDS if isinstance(error, kind)), UNKNOWN)


def _message(error: BaseException) -> str:
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, OSError):
        return " ".join(str(original).split())
    # The driver puts the primary message first; its text for people adds detail and hint.
    first = original.args[0] if original is not None and original.args else ""
    return " ".join(str(first).split())
