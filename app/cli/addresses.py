"""How addresses of this machine are written in a URL."""

from ipaddress import ip_address


def http_url(host: str, port: int) -> str:
    """Returns the URL of a server that listens on `host`; for all addresses, the loopback one."""
    host = _openable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _openable(host: str) -> str:
    try:
        address = ip_address(host or "0.0.0.0")  # noqa: S104 - what no host means to a socket
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "::1" if address.version == 6 else "127.0.0.1"
