"""`portico serve`: finds out whether it can, says what is open, and listens."""

import asyncio
import errno
import logging
import os
import resource
import signal
import socket
from types import FrameType
from typing import Annotated, NoReturn

import typer
import uvicorn

from app.commands.setup import database, out, read_settings, started, url_of
from app.config import Settings
from app.errors import Misconfigured
from app.http.connections import BoundedConnection
from app.main import create_app

FACTORY = "app.main:create_app_from_environment"
OTHER_FILES = 300
PORT_HELP = "Port to listen on."

log = logging.getLogger(__name__)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help=PORT_HELP)] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
) -> None:
    """Serve the API. Without DATABASE_URL, on a database of its own in DATA_DIR."""
    signal.signal(signal.SIGTERM, _terminate)
    settings = read_settings()
    logging.getLogger().setLevel(settings.log_level)
    _check_port(host, port)
    allow_connections(settings.max_connections)
    with database(settings) as ready:
        asyncio.run(_prepare(ready))
        _announce(ready, host, port)
        _listen(ready, host, port, workers)


async def _prepare(settings: Settings) -> None:
    """Find out before a port is opened whether it will serve; make the first administrator."""
    async with started(create_app(settings).state.portico) as portico:
        email, given = settings.first_admin_email, settings.first_admin_password
        if email is None:
            return
        made = await portico.appointments.first(email, given.get_secret_value() if given else None)
        if made:
            password = "as set" if given else f"[bold]{made}[/bold]  (shown this once)"
            out.print(f"The first administrator: [bold]{email}[/bold], password {password}")


def _check_port(host: str, port: int) -> None:
    """Find out that nothing can listen there before a database is started for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Misconfigured(f"port {port} is in use. Choose another: --port") from None
            raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror}.") from None


def allow_connections(most: int) -> None:
    """Ask the system for as many open files as connections take; fewer is worth a warning."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        log.warning("MAX_CONNECTIONS=%d needs %d open files, ulimit -n is %d", most, wanted, hard)


def _announce(settings: Settings, host: str, port: int) -> None:
    everywhere = host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    base = f"http://{'127.0.0.1' if everywhere else host}:{port}"
    out.print(
        f"GraphQL   {base}/graphql"
        + ("   (open it in a browser for GraphiQL)" if settings.explore else "")
    )
    out.print(f"Keys      {base}/.well-known/jwks.json")
    out.print(f"Health    {base}/health/ready")
    out.print("Stop it with Ctrl-C.")


def _listen(settings: Settings, host: str, port: int, workers: int) -> None:
    # Workers are processes of their own: they read what was settled here from the environment.
    os.environ["DATABASE_URL"] = url_of(settings)
    os.environ["SECRET_KEY"] = settings.secret_key.get_secret_value() if settings.secret_key else ""
    if settings.smtp_url:
        os.environ["SMTP_URL"] = settings.smtp_url.get_secret_value()
    os.environ["DEBUG"] = str(settings.explore).lower()
    uvicorn.run(
        FACTORY,
        factory=True,
        http=BoundedConnection,
        host=host,
        port=port,
        workers=workers,
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level=settings.log_level.lower(),
        log_config=None,
        timeout_graceful_shutdown=settings.shutdown_timeout_seconds,
    )


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    # uvicorn stops cleanly and then sends itself the signal again: leave by the doors, so that the
    # database stops too.
    raise SystemExit(0)
