"""The rules for heads of requests, which are refused before the application (RFC 9112)."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

Fields = Iterable[tuple[bytes, bytes]]

VERSIONS = frozenset({"1.0", "1.1"})
# Those of RFC 9110, section 9, and RFC 5789, except CONNECT, which is for proxies.
METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"})
# The only fields that a head can be refused for.
CHECKED_NAMES = frozenset({b"host", b"transfer-encoding"})

REG_NAME = rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
# Brackets hold an IPv6 address, or an address of a future version (RFC 3986, 3.2.2).
IP_FUTURE = rb"v[0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+"
AUTHORITY = re.compile(
    rb"(?:%b|\[(?:%b|(?P<ipv6>[0-9A-Fa-f:.]+))\])(?::[0-9]*)?" % (REG_NAME, IP_FUTURE)
)
ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?#]*)(?P<rest>[/?][^#]*)?", re.IGNORECASE)


class HeadRefusal(NamedTuple):
    status: int
    message: str


BAD_TARGET = HeadRefusal(400, "The target of the request is invalid.")
UNSUPPORTED_VERSION = HeadRefusal(505, "This server supports HTTP/1.1 and HTTP/1.0.")
UNKNOWN_METHOD = HeadRefusal(501, "This server does not support the method.")
NOT_ONE_HOST = HeadRefusal(400, "A request must have one Host header.")
BAD_HOST = HeadRefusal(400, "The Host header is not a host with an optional port.")
UNSUPPORTED_CODING = HeadRefusal(501, "The only supported transfer coding is chunked.")
CODING_IN_HTTP_1_0 = HeadRefusal(400, "HTTP/1.0 has no transfer codings.")


@lru_cache(maxsize=256)
def head_refusal(
    version: str, method: bytes, checked: tuple[tuple[bytes, bytes], ...]
) -> HeadRefusal | None:
    """Returns why a head is refused, by its version, method and checked fields; None if it is not.

    The target is checked by `origin_form`.
    """
    if version not in VERSIONS:
        return UNSUPPORTED_VERSION
    if method not in METHODS:
        return UNKNOWN_METHOD
    hosts = [value for name, value in checked if name == b"host"]
    codings = [value for name, value in checked if name == b"transfer-encoding"]
    return _host_refusal(version, hosts) or _coding_refusal(version, codings)


def checked_fields(fields: Fields) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(field for field in fields if field[0] in CHECKED_NAMES)


def is_origin_form(target: bytes) -> bool:
    return target.startswith(b"/") and b"#" not in target


def origin_form(method: bytes, target: bytes) -> bytes | None:
    """Returns a target without its scheme and host; None if it is not a target of this server.

    `*` is the server itself, and only valid with OPTIONS (RFC 9112, 3.2.4).
    """
    if is_origin_form(target) or (target == b"*" and method == b"OPTIONS"):
        return target
    absolute = ABSOLUTE.fullmatch(target)
    if absolute is None or not is_authority(absolute["authority"]):
        return None
    rest = absolute["rest"] or b"/"
    return rest if rest.startswith(b"/") else b"/" + rest


def is_authority(text: bytes) -> bool:
    """Whether it is a host that is not empty, with an optional port (RFC 3986, 3.2)."""
    match = AUTHORITY.fullmatch(text)
    if match is None:
        return False
    return match["ipv6"] is None or _is_ipv6(match["ipv6"].decode())


def _host_refusal(version: str, hosts: list[bytes]) -> HeadRefusal | None:
    """Check the Host fields (RFC 9112, 3.2).

    An empty value is allowed: the client's URL had no host, and the server's own URL is a setting.
    """
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        return NOT_ONE_HOST
    if all(value == b"" or is_authority(value) for value in hosts):
        return None
    return BAD_HOST


def _coding_refusal(version: str, codings: list[bytes]) -> HeadRefusal | None:
    if not codings:
        return None
    if version == "1.0":
        # Its framing is unreliable (RFC 9112, 6.1).
        return CODING_IN_HTTP_1_0
    is_chunked = [coding.lower() for coding in codings] == [b"chunked"]
    return None if is_chunked else UNSUPPORTED_CODING


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
