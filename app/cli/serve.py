"""`portico serve`: checks the settings and the database, prints warnings, and listens."""

import asyncio
import logging
import os
import signal
from types import FrameType, ModuleType
from typing import NoReturn

from rich.markup import escape

from app.cli import setting_warnings
from app.cli.addresses import http_url
from app.cli.console import out, to_stderr
from app.cli.management import managed, metrics_line
from app.cli.ports import check_port
from app.cli.setup import database, started, url_of
from app.composition import Portico
from app.database.embedded import in_use, secret_path
from app.database.readiness import Readiness
from app.imports import import_module
from app.logs import log_to_stderr
from app.mail.mailer import CONSOLE
from app.modules import modules_named, read_settings
from app.people.services.administrator_accounts import AdministratorAccounts
from app.server.open_files import allow_connections
from app.server.options import ServerOptions
from app.server.tested_versions import TESTED, ServerVersions, installed_versions
from app.settings import Settings

FACTORY = "app.main:create_app_from_environment"
FACTORY_WITH_HEAD_CHECKS = "app.main:create_app_with_head_checks_from_environment"
UNTESTED = (
    "{found} are installed, this release is tested with {tested}: serving on uvicorn's "
    "h11 protocol, slower, without time limits for requests and without SHUTDOWN_DELAY_SECONDS."
)


def serve(host: str, port: int, workers: int) -> None:
    # An IPv6 address is in brackets in a URL, and not here.
    serve_on(installed_versions(), host.strip("[]"), port, workers)


def serve_on(found: ServerVersions, host: str, port: int, workers: int) -> None:
    """Serve, on uvicorn and httptools of these versions."""
    signal.signal(signal.SIGTERM, _terminate)
    given = read_settings()
    settings = with_public_url(given, http_url(host, port))
    log_to_stderr(settings.log_level, settings.log_format)
    setting_warnings.check(given, host)
    check_port(host, port)
    _check_schema(settings)
    allow_connections(settings.max_connections)
    shared = settings.embedded and in_use(settings.data_dir)
    with (
        database(settings, meanwhile=_import_app) as ready,
        managed(settings.management_address, workers) as management,
    ):
        privilege_warnings = asyncio.run(_prepare(ready, given))
        if shared:
            out.print(f"Database  in {settings.data_dir}, shared with another Portico")
        _print_addresses(ready, http_url(host, port), management.address)
        warnings = (
            *setting_warnings.warnings_of(given, host, port, management.address),
            *privilege_warnings,
        )
        for warning in warnings:
            out.print(f"[yellow]Warning[/yellow]   {escape(warning)}")
        out.print("Stop it with Ctrl-C.")
        _export_settings(given, ready)
        if found != TESTED:
            to_stderr(logging.WARNING, UNTESTED.format(found=found, tested=TESTED))
        options = _options(ready, host, port, workers)
        # Imported here: only this command needs uvicorn.
        import_module("app.server.run").run_server(options, found, management.replaced)


def _check_schema(settings: Settings) -> None:
    """Check that the schema can be built with MODULES, before each worker builds it.

    Raises:
        Misconfigured: names the module and its error.

    """
    if settings.modules:
        _import_app().default_schema(modules_named(settings.modules))


def with_public_url(settings: Settings, url: str) -> Settings:
    """Returns the settings of a server that clients reach at `url`, unless PUBLIC_URL is set."""
    if "public_url" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"public_url": url})


def _import_app() -> ModuleType:
    # Imported here: only servers need the libraries of the schema, which take long to load.
    return import_module("app.main")


async def _prepare(settings: Settings, given: Settings) -> list[str]:
    """Check the database before a port is opened, and create the first administrator.

    Returns warnings about the privileges of the role.
    """
    app = _import_app().create_app(settings)
    async with started(app.state.portico) as portico:
        await portico.services[Readiness].check_writable()
        await _create_first_administrator(portico, settings)
        return await setting_warnings.privilege_warnings(portico, given)


async def _create_first_administrator(portico: Portico, settings: Settings) -> None:
    email, given = settings.first_admin_email, settings.first_admin_password
    if email is None:
        return
    made = await portico.services[AdministratorAccounts].create_first(
        email, given.get_secret_value() if given else None
    )
    if made:
        password = "as set" if given else f"[bold]{made}[/bold]  (shown this once)"
        out.print(f"The first administrator: [bold]{email}[/bold], password {password}")


def _print_addresses(settings: Settings, base: str, management: str) -> None:
    out.print(
        f"GraphQL   {base}/graphql"
        + ("   (open it in a browser for GraphiQL)" if settings.explore else "")
    )
    out.print(f"Keys      {base}/.well-known/jwks.json")
    out.print(f"Health    {base}/health/ready")
    if settings.link_pages:
        out.print("Emails    link to pages of this server: FRONTEND_URL is not set")
    out.print(metrics_line(management, settings.management_address))


def _export_settings(given: Settings, settings: Settings) -> None:
    """Put derived settings into the environment, where workers read them.

    Secrets are left out: other processes of the same user can read the environment, but maybe not
    the files. Workers read secrets from where they were read here.
    """
    if given.embedded:
        os.environ["DATABASE_URL"] = url_of(settings)
        if given.secret_key is None:
            os.environ["SECRET_KEY_FILE"] = str(secret_path(given.data_dir).resolve())
        if given.smtp_url is None:
            os.environ["SMTP_URL"] = CONSOLE
        os.environ["CORS_ORIGINS"] = ",".join(settings.cors_origins)
    os.environ["PUBLIC_URL"] = settings.public_url
    os.environ["DEBUG"] = str(settings.explore).lower()


def _options(settings: Settings, host: str, port: int, workers: int) -> ServerOptions:
    return ServerOptions(
        app=FACTORY,
        app_with_head_checks=FACTORY_WITH_HEAD_CHECKS,
        host=host,
        port=port,
        workers=workers,
        log_level=settings.log_level,
        shutdown_delay_seconds=settings.shutdown_delay_seconds,
        shutdown_timeout_seconds=settings.shutdown_timeout_seconds,
        worker_timeout_seconds=settings.worker_timeout_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        max_connections=settings.max_connections,
        max_head_bytes=settings.max_head_bytes,
    )


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    # uvicorn stops cleanly and then sends itself the signal again: exit by an exception, so that
    # the embedded database stops too.
    raise SystemExit(0)
