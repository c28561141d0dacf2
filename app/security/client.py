"""The client that sent a request: address, user agent, headers."""

from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from app.security.keys import digest

PROGRAM_BYTES = 8


class Client(NamedTuple):
    """The client of a request, as far as it is known."""

    ip_address: str | None
    user_agent: str | None
    request_id: str | None = None
    device_token: str | None = None
    # The header as it was sent, not validated.
    accept_language: str | None = None

    @property
    def block(self) -> str:
        """The address range that rate limits count as one client."""
        return block_of(self.ip_address)

    @property
    def program(self) -> bytes:
        """Returns a digest of the address and the user agent, which distinguishes clients."""
        return digest(self.block, self.user_agent or "")[:PROGRAM_BYTES]


# For commands and for the server itself.
NO_CLIENT = Client(None, None)


def block_of(address: str | None) -> str:
    """Returns the range that one client usually has: an IPv4 address, or an IPv6 /64 prefix."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or "nowhere"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
