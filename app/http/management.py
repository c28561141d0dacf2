"""The management address: where metrics are, apart from what the open internet reaches."""

import ipaddress
from collections.abc import Generator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

from app.errors import Misconfigured

OFF = "off"


@contextmanager
def management(address: str | None, registry: CollectorRegistry) -> Generator[None]:
    """Answer `/metrics` there, from a thread.

    Raises:
        Misconfigured: nothing can listen there.

    """
    if address is None or address == OFF:
        yield
        return
    host, port = host_and_port(address)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise Misconfigured(f"MANAGEMENT_ADDRESS={address}: {error.strerror}.") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def host_and_port(address: str) -> tuple[str, int]:
    """Read `127.0.0.1:9464` or `[::1]:9464`.

    Raises:
        ValueError: it is neither.

    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError("must be host:port, or off")
    return str(ipaddress.ip_address(host)), int(port)
