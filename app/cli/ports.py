"""Checks whether a port is free."""

import errno
import socket

from app.errors import Misconfigured

PORTS_TO_TRY = 100


def check_port(host: str, port: int, *, change: str = "--port {}") -> None:
    """Check that a port is free before a database is started.

    Args:
        host: An address or a host name.
        port: 0 means any free port.
        change: The option or setting for another port; `{}` is replaced by a free one.

    Raises:
        Misconfigured: the port is in use, or cannot be opened.

    """
    try:
        _listen(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise Misconfigured(f"Cannot listen on {place}: {error.strerror}.") from None
        other = _free_after(host, port)
        suggestion = f", such as {change.format(other)}" if other else ""
        msg = f"Port {port} is in use by another program. Choose another{suggestion}."
        raise Misconfigured(msg) from None


def _listen(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _free_after(host: str, port: int) -> int | None:
    for other in range(port + 1, min(port + PORTS_TO_TRY, 65536)):
        try:
            _listen(host, other)
        except OSError:
            continue
        return other
    return None
