"""Whether one can listen somewhere."""

import errno
import socket

from app.errors import Misconfigured


def check_port(host: str, port: int, *, name: str = "--port") -> None:
    """Find out that nothing can listen there before a database is started for it.

    Raises:
        Misconfigured: says why, and what to change.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Misconfigured(f"port {port} is in use. Choose another: {name}") from None
            raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror}.") from None
