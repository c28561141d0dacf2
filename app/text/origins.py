"""Origins (RFC 6454) and patterns of origins, as in CORS_ORIGINS."""

import re
from urllib.parse import urlsplit

ORIGIN = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9*_-]+(?:\.[a-z0-9*_-]+)*|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
DEFAULT_PORTS = {"http": 80, "https": 443}
LAST_PORT = 65_535
NOT_AN_ORIGIN = (
    "must name each frontend, such as https://app.example.com, "
    "or previews of one, such as https://*.preview.example.com"
)
TOO_WIDE = (
    "must name each frontend: a * matches one label or a part of it, at most once per label, and "
    "not in the last two labels"
)
# What `*` matches. Not a dot: `https://*.a.example` must not match `https://x.y.a.example`.
WITHIN_A_LABEL = "[a-z0-9-]+"
FIXED_LABELS = 2
# Any port of the machine on which the browser runs. Nobody else can serve a page there.
LOOPBACK_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*")
ANY_PORT = "(?::[0-9]{1,5})?"


def read_origin(text: str) -> str:
    """Returns an origin, or a pattern with `*`, normalized as browsers send origins.

    Raises:
        ValueError: it is invalid, or its `*` could match names that others can register.

    """
    origin = text.strip().removesuffix("/").lower()
    if origin in LOOPBACK_ORIGINS:
        return origin
    match = ORIGIN.fullmatch(origin)
    if match is None:
        raise ValueError(NOT_AN_ORIGIN)
    scheme, host, port = match["scheme"], match["host"], match["port"]
    if "*" in host and not _is_narrow(host.split(".")):
        raise ValueError(TOO_WIDE)
    if port is None or int(port) == DEFAULT_PORTS[scheme]:
        return f"{scheme}://{host}"
    if int(port) > LAST_PORT:
        raise ValueError(NOT_AN_ORIGIN)
    return f"{scheme}://{host}:{int(port)}"


def origin_of_url(url: str) -> str:
    """Returns the origin of an absolute URL, as browsers send it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    if parts.port in {None, DEFAULT_PORTS.get(parts.scheme)}:
        return f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{parts.port}"


def scheme_and_host(origin: str) -> tuple[str, str]:
    """Returns the scheme and the host of an origin, both empty if it is not one over http(s)."""
    match = ORIGIN.fullmatch(origin)
    return (match["scheme"], match["host"].strip("[]")) if match else ("", "")


def pattern_of(origin: str) -> re.Pattern[bytes]:
    """Returns the regular expression for a pattern with `*`, normalized by `read_origin`."""
    if origin in LOOPBACK_ORIGINS:
        return re.compile((re.escape(origin.removesuffix(":*")) + ANY_PORT).encode())
    parts = (re.escape(part) for part in origin.split("*"))
    return re.compile(WITHIN_A_LABEL.join(parts).encode())


def _is_narrow(labels: list[str]) -> bool:
    fixed = labels[-FIXED_LABELS:]
    if len(labels) <= FIXED_LABELS or any("*" in label for label in fixed):
        return False
    return all(label.count("*") <= 1 for label in labels)
