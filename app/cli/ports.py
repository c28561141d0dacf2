"""Whether one can listen somewhere."""

import errno
import socket

from app.errors import Misconfigured

NEIGHBOURS = 100


def check_port(host: str, port: int, *, change: str = "--port {}") -> None:
    """Find out that nothing can listen there before a database is started for it.

    Args:
        host: An address, or a name of one.
        port: 0 is any that is free.
        change: What an operator writes to listen elsewhere; `{}` is replaced by a free port.

    Raises:
        Misconfigured: says why, and what to change.

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
    for other in range(port + 1, min(port + NEIGHBOURS, 65536)):
        try:
            _listen(host, other)
        except OSError:
            continue
        return other
    return None
