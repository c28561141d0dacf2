"""Origins (RFC 6454) and patterns of them, as an operator writes them in CORS_ORIGINS."""

import re

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
    "must name each frontend: a * stands for one label or a part of it, once in each, and never in "
    "the last two"
)
# What `*` stands for. Never a dot: `https://*.a.example` is not to mean `https://x.y.a.example`.
WITHIN_A_LABEL = "[a-z0-9-]+"
FIXED_LABELS = 2


def read_origin(text: str) -> str:
    """Returns an origin, or a pattern with `*`, normalized as browsers send origins.

    Raises:
        ValueError: it is invalid, or its `*` could match names that others can register.

    """
    match = ORIGIN.fullmatch(text.strip().removesuffix("/").lower())
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


def pattern_of(origin: str) -> re.Pattern[bytes]:
    """Returns the expression for an origin that has a `*`, as `read_origin` normalizes it."""
    parts = (re.escape(part) for part in origin.split("*"))
    return re.compile(WITHIN_A_LABEL.join(parts).encode())


def _is_narrow(labels: list[str]) -> bool:
    fixed = labels[-FIXED_LABELS:]
    if len(labels) <= FIXED_LABELS or any("*" in label for label in fixed):
        return False
    return all(label.count("*") <= 1 for label in labels)
