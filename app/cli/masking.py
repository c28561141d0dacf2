"""Masks secrets in URLs before they are shown; the host stays visible."""

import re

from app.mail.mailer import CONSOLE

MASK = "********"
# Only the characters that RFC 3986 allows unencoded: an unencoded `@` or `/` in a password cannot
# be distinguished from the host.
ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?:(?P<user>[\w.~%!$&'()*+,;=-]*)(?P<password>:[^@/?#\s]*)?@)?"
    r"(?P<hosts>[\w.~%:,\[\]-]*)(?P<path>/[\w.~%/-]*)?"
    r"(?:\?(?P<query>[^@?#\s]*))?",
    re.IGNORECASE,
)
# Parameters of database and mail server URLs that are not secret.
PLAIN_PARAMETERS = frozenset(
    {
        "application_name",
        "channel_binding",
        "connect_timeout",
        "dbname",
        "host",
        "port",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
        "tls",
        "user",
    }
)


def masked_url(secret: str) -> str:
    """Returns a URL with its password masked; anything that may not be a URL is masked whole.

    For servers other than databases, the user and the path are masked too: some providers put the
    API key there.
    """
    if secret == CONSOLE:
        return secret
    match = ADDRESS.fullmatch(secret.strip())
    if match is None:
        return MASK
    is_database = match["scheme"].lower().startswith("postgres")
    user, path = _of_database(match) if is_database else _of_another(match)
    at = "" if match["user"] is None else f"{user}@"
    return f"{match['scheme']}://{at}{match['hosts']}{path}{_query(match['query'])}"


def _of_database(match: re.Match[str]) -> tuple[str, str]:
    user = f"{match['user']}:{MASK}" if match["password"] else f"{match['user']}"
    return user, match["path"] or ""


def _of_another(match: re.Match[str]) -> tuple[str, str]:
    path = match["path"] or ""
    return MASK, f"/{MASK}" if path.strip("/") else path


def _query(query: str | None) -> str:
    if query is None:
        return ""
    pairs = (pair.partition("=") for pair in query.split("&"))
    # The rest of a password may follow an unencoded `&`, so no other name is shown either.
    shown = (f"{name}={value}" if name in PLAIN_PARAMETERS else MASK for name, _, value in pairs)
    return "?" + "&".join(shown)
