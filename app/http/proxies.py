"""Whose request it is, when proxies stand before the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
LONGEST_WAY = 20


@dataclass(frozen=True)
class Proxies:
    """Those whose word on where a request came from is believed. Nobody else's is."""

    networks: tuple[Network, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Proxies":
        return cls(tuple(ip_network(text, strict=False) for text in texts))

    def client_of(self, peer: str | None, forwarded_for: str | None) -> str | None:
        """Follow `X-Forwarded-For` from the nearest proxy on, for as long as they are trusted."""
        if not self.networks or peer is None or forwarded_for is None or not self._trusts(peer):
            return peer
        client = peer
        for hop in reversed(forwarded_for.split(",")[-LONGEST_WAY:]):
            address = _address(hop)
            if address is None:
                return client
            client = address
            if not self._trusts(client):
                return client
        return client

    @lru_cache(maxsize=1024)  # noqa: B019 - there is one of them as long as the process lives
    def _trusts(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(mapped in network for network in self.networks)


def _address(hop: str) -> str | None:
    """An address, perhaps in brackets or with a port, as proxies write it."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
