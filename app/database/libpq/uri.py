"""Splits a connection URI into parameters (PostgreSQL manual, 34.1.1.2)."""

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from app.database.libpq.errors import InvalidDatabaseUrl
from app.database.libpq.parameters import known_parameter

SCHEME = re.compile(r"postgres(?:ql)?(?:\+(?:asyncpg|psycopg|psycopg2))?://")
# The password ends at the first @; there is none if a / comes first.
CREDENTIALS = re.compile(r"([^:@/]*)(?::([^@/]*))?@")
HOST = re.compile(r"(?:\[([^\]]+)\]|(?!\[)([^:/?,]*))(?::([^/?,]*))?(?=[/?,]|\Z)")
NOT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")
QUOTES = ("'", '"', "`")


def split_uri(text: str) -> dict[str, str]:
    """Returns the parameters in a URI, with their values as written, which may be empty.

    Raises:
        InvalidDatabaseUrl: the text is not a valid connection URI.

    """
    text = text.strip()
    scheme = SCHEME.match(text)
    if scheme is None:
        raise InvalidDatabaseUrl(f"must be a postgresql:// address{_hint_for_pasted_text(text)}")
    rest = text[scheme.end() :]
    found: dict[str, str] = {}
    credentials = CREDENTIALS.match(rest)
    if credentials is not None:
        found = {"user": credentials[1], "password": credentials[2] or ""}
        rest = rest[credentials.end() :]
    hosts, ports, rest = _split_hosts(rest)
    path, _, query = rest.partition("?")
    found |= {"host": ",".join(hosts), "port": ",".join(ports), "dbname": path[1:]}
    given = {name: _percent_decoded(value) for name, value in found.items() if value}
    return given | dict(_split_query(query))


def _hint_for_pasted_text(text: str) -> str:
    """Returns what to remove if more than the address was copied."""
    command = re.match(r"psql\s+", text)
    if command is not None:
        return " alone, without psql before it and without quotes"
    return ", without quotes around it" if text.startswith(QUOTES) else ""


def _split_hosts(rest: str) -> tuple[list[str], list[str], str]:
    """Returns the hosts, their ports, and the rest of the text."""
    hosts: list[str] = []
    ports: list[str] = []
    while True:
        found = HOST.match(rest)
        if found is None:
            raise InvalidDatabaseUrl("has a [ without an IPv6 address and its ]")
        hosts.append(found[1] or found[2] or "")
        ports.append(found[3] or "")
        rest = rest[found.end() :]
        if not rest.startswith(","):
            return hosts, ports, rest
        rest = rest[1:]


def _split_query(query: str) -> Iterator[tuple[str, str]]:
    pairs = query.split("&") if query else []
    if len(pairs) > 1 and not pairs[-1]:
        pairs.pop()
    for pair in pairs:
        if pair.count("=") != 1:
            raise InvalidDatabaseUrl("must have its parameters as name=value, with & between them")
        name, _, value = pair.partition("=")
        yield known_parameter(_percent_decoded(name), _percent_decoded(value))


def _percent_decoded(text: str) -> str:
    if NOT_ENCODED.search(text):
        raise InvalidDatabaseUrl("must have %25 for a % that encodes nothing")
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeError:
        raise InvalidDatabaseUrl("must be UTF-8") from None
    if "\0" in decoded:
        raise InvalidDatabaseUrl("must not have null characters")
    return decoded
