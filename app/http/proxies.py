"""The address of the client, when proxies forward its requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
MAX_HOPS = 20


@dataclass(frozen=True)
class TrustedProxies:
    """The networks whose `X-Forwarded-For` is trusted; that of any other peer is ignored."""

    networks: tuple[Network, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TrustedProxies":
        return cls(tuple(ip_network(text, strict=False) for text in texts))

    def client_address(self, peer: str | None, forwarded_for: str | None) -> str | None:
        """Returns the first address, from the nearest proxy on, that is not a trusted proxy's."""
        if not self.networks or peer is None or forwarded_for is None or not self._trusts(peer):
            return peer
        client = peer
        for hop in reversed(forwarded_for.split(",")[-MAX_HOPS:]):
            address = _address(hop)
            if address is None:
                return client
            client = address
            if not self._trusts(client):
                return client
        return client

    @lru_cache(maxsize=1024)  # noqa: B019 - one instance lives as long as the process
    def _trusts(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(mapped in network for network in self.networks)


def _address(hop: str) -> str | None:
    """Returns an address without its brackets and port; None if it is invalid."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
