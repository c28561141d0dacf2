"""Which heads of requests are refused before an application sees them (RFC 9112)."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

Fields = Iterable[tuple[bytes, bytes]]

VERSIONS = frozenset({"1.0", "1.1"})
# Those of RFC 9110, section 9, and RFC 5789, except CONNECT: this is no proxy.
METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"})
# The fields that decide about a head; all others are the application's.
DECISIVE = frozenset({b"host", b"transfer-encoding"})

REG_NAME = rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
# What is in brackets and no address of IPv6 is of a version to come (RFC 3986, 3.2.2).
IP_FUTURE = rb"v[0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+"
AUTHORITY = re.compile(
    rb"(?:%b|\[(?:%b|(?P<ipv6>[0-9A-Fa-f:.]+))\])(?::[0-9]*)?" % (REG_NAME, IP_FUTURE)
)
ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?#]*)(?P<rest>[/?][^#]*)?", re.IGNORECASE)


class Objection(NamedTuple):
    status: int
    message: str


NO_TARGET = Objection(400, "The target of the request is not one of this server.")
NO_VERSION = Objection(505, "This server speaks HTTP/1.1 and HTTP/1.0.")
NO_METHOD = Objection(501, "This server does not know the method.")
NO_HOST = Objection(400, "A request has one Host header.")
BAD_HOST = Objection(400, "The Host header is not a host with an optional port.")
NO_CODING = Objection(501, "The only transfer coding here is chunked.")
OLD_CODING = Objection(400, "HTTP/1.0 has no transfer codings.")


@lru_cache(maxsize=256)
def objection_to(
    version: str, method: bytes, decisive: tuple[tuple[bytes, bytes], ...]
) -> Objection | None:
    """Say why a head is refused, by its version, method and decisive fields; None: it is not."""
    if version not in VERSIONS:
        return NO_VERSION
    if method not in METHODS:
        return NO_METHOD
    hosts = [value for name, value in decisive if name == b"host"]
    codings = [value for name, value in decisive if name == b"transfer-encoding"]
    return _about_hosts(version, hosts) or _about_codings(version, codings)


def decisive_in(fields: Fields) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(field for field in fields if field[0] in DECISIVE)


def is_origin_form(target: bytes) -> bool:
    return target.startswith(b"/") and b"#" not in target


def origin_form(method: bytes, target: bytes) -> bytes | None:
    """Write a target without its scheme and host; None: it is not a target of ours.

    `*` is the server itself, which only OPTIONS may mean (RFC 9112, 3.2.4).
    """
    if is_origin_form(target) or (target == b"*" and method == b"OPTIONS"):
        return target
    absolute = ABSOLUTE.fullmatch(target)
    if absolute is None or not is_authority(absolute["authority"]):
        return None
    rest = absolute["rest"] or b"/"
    return rest if rest.startswith(b"/") else b"/" + rest


def is_authority(text: bytes) -> bool:
    """Whether it is a host, which is not empty, and perhaps a port (RFC 3986, 3.2)."""
    match = AUTHORITY.fullmatch(text)
    if match is None:
        return False
    return match["ipv6"] is None or _is_ipv6(match["ipv6"].decode())


def _about_hosts(version: str, hosts: list[bytes]) -> Objection | None:
    """Hold a head to RFC 9112, 3.2.

    An empty value is one: the client's address of us had no host in it, and ours is a setting.
    """
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        return NO_HOST
    if all(value == b"" or is_authority(value) for value in hosts):
        return None
    return BAD_HOST


def _about_codings(version: str, codings: list[bytes]) -> Objection | None:
    if not codings:
        return None
    if version == "1.0":
        # RFC 9112, 6.1: its framing is faulty.
        return OLD_CODING
    return None if [coding.lower() for coding in codings] == [b"chunked"] else NO_CODING


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
