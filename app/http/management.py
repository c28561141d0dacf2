"""The management address: metrics and health, on a port that is not reachable from the internet.

A thread serves it, so that it answers even if the event loop of the process hangs.
"""

import asyncio
import ipaddress
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import orjson
import prometheus_client
from prometheus_client import CollectorRegistry

from app.errors import Misconfigured

OFF = "off"
METRICS, LIVE, READY = "/metrics", "/health/live", "/health/ready"
# How long the event loop may take to answer. Probes of Kubernetes wait one second by default.
LOOP_SECONDS = 5.0
CLIENT_SECONDS = 10
# How often the thread checks whether to end; the shutdown waits for it.
POLL_SECONDS = 0.1

log = logging.getLogger(__name__)

Respond = Callable[[str, list[tuple[str, str]]], Any]
Wsgi = Callable[[dict[str, Any], Respond], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Health:
    """Checks from another thread whether an event loop runs and the process is ready."""

    loop: asyncio.AbstractEventLoop
    # Returns why no work can be done now, in one public sentence; None if it can.
    unready: Callable[[], Awaitable[str | None]]
    seconds: float = LOOP_SECONDS

    def live(self) -> dict[str, str]:
        reason = self._run_in_loop(_do_nothing())
        return {"status": "not alive", "reason": reason} if reason else {"status": "alive"}

    def ready(self) -> dict[str, str]:
        reason = self._run_in_loop(self._unready())
        return {"status": "not ready", "reason": reason} if reason else {"status": "ready"}

    async def _unready(self) -> str | None:
        return await self.unready()

    def _run_in_loop(self, check: Coroutine[Any, Any, str | None]) -> str | None:
        answer = asyncio.run_coroutine_threadsafe(check, self.loop)
        try:
            return answer.result(self.seconds)
        except TimeoutError:
            answer.cancel()
            return f"No answer within {self.seconds:g} s."


class ManagementServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's
        """Log an error, which the library would print as a traceback on standard error."""
        log.debug("A request from %s failed", client_address, exc_info=sys.exc_info())


class ManagementServerV6(ManagementServer):
    address_family = socket.AF_INET6


class ManagementRequest(WSGIRequestHandler):
    # Of the socket: a client that sends nothing must not keep a thread.
    timeout = CLIENT_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing: monitoring requests it every few seconds."""


@contextmanager
def management(
    address: str | None, registry: CollectorRegistry, health: Health | None = None
) -> Generator[None]:
    """Serve `/metrics` at an address, and `/health/live` and `/health/ready` if there is `health`.

    Raises:
        Misconfigured: the address cannot be listened on.

    """
    if address is None or address == OFF:
        yield
        return
    host, port = host_and_port(address)
    kind = ManagementServerV6 if ":" in host else ManagementServer
    try:
        server = kind((host, port), ManagementRequest)
    except OSError as error:
        raise Misconfigured(f"MANAGEMENT_ADDRESS={address}: {error.strerror}.") from None
    server.set_app(_application(registry, health))
    thread = Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
    thread.start()
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


def _application(registry: CollectorRegistry, health: Health | None) -> Wsgi:
    # The library has no types for it.
    metrics: Wsgi = cast("Any", prometheus_client).make_wsgi_app(registry)
    pages = {METRICS: metrics}
    if health is not None:
        pages |= {LIVE: _page(health.live), READY: _page(health.ready)}
    not_found = _status_page(HTTPStatus.NOT_FOUND, f"Available paths: {', '.join(pages)}\n")

    def application(environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        return pages.get(environ["PATH_INFO"], not_found)(environ, respond)

    return application


def _page(state: Callable[[], dict[str, str]]) -> Wsgi:
    def page(_environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        current = state()
        status = HTTPStatus.SERVICE_UNAVAILABLE if "reason" in current else HTTPStatus.OK
        respond(_status_line(status), [("content-type", "application/json")])
        return [orjson.dumps(current)]

    return page


def _status_page(status: HTTPStatus, text: str) -> Wsgi:
    def page(_environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        respond(_status_line(status), [("content-type", "text/plain; charset=utf-8")])
        return [text.encode()]

    return page


def _status_line(status: HTTPStatus) -> str:
    return f"{status.value} {status.phrase}"


async def _do_nothing() -> str | None:
    """Do nothing: if this runs, the event loop does."""
    return None
