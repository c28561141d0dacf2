"""The `portico` command: its subcommands, and one line for each error."""

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.cli import database, schema, serve, settings, worker
from app.cli.doctor import command as examination
from app.cli.setup import fail, to_stderr
from app.cli.version import VERSION_OPTION, print_version
from app.config.sources import named_modules, read_logging
from app.database.errors import explanation
from app.database.outages import remove_values
from app.errors import MigrationBlocked, Misconfigured, Unavailable
from app.imports import import_attribute
from app.logs import log_to_stderr, logs_json
from app.module import Module
from app.modules import MODULES, modules_named

# Errors of the configuration or of other services, and no bugs.
EXPECTED_ERRORS = (Misconfigured, MigrationBlocked, SQLAlchemyError, Unavailable, OSError)

log = logging.getLogger(__name__)


def cli_of(modules: tuple[Module, ...]) -> typer.Typer:
    """Returns the command, with the subcommands of modules.

    Raises:
        Misconfigured: those of a module cannot be imported, or their name exists already.

    """
    cli = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    cli.callback()(portico)
    cli.command()(serve.serve)
    cli.command("worker")(worker.work)
    cli.command("settings")(settings.show)
    cli.command()(examination.doctor)
    cli.add_typer(database.COMMANDS)
    cli.add_typer(schema.COMMANDS)
    for module in modules:
        if module.commands is not None:
            _add(cli, module.commands)
    return cli


def _add(cli: typer.Typer, path: str) -> None:
    """Add the commands of a module.

    Raises:
        Misconfigured: their name exists already.

    """
    commands: typer.Typer = import_attribute(path, "COMMANDS", typer.Typer)
    name = commands.info.name
    if name in typer.main.get_group(cli).commands:
        raise Misconfigured(f"The command `portico {name}` of {path} exists already")
    cli.add_typer(commands)


def _print_version(asked: bool) -> None:
    if asked:
        print_version()
        raise typer.Exit


def portico(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            VERSION_OPTION,
            callback=_print_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Portico, a GraphQL identity API."""


def main() -> None:
    """Run the command line; errors of the configuration are one line each, with exit code 1.

    With LOG_LEVEL=DEBUG the log has the traceback. With LOG_FORMAT=json, all lines on standard
    error are records.
    """
    log_to_stderr("INFO", "console")
    log_to_stderr(*read_logging())
    try:
        _run()
    except EXPECTED_ERRORS as problem:
        # Errors of connections are explained with the message of the database.
        explained = isinstance(problem, SQLAlchemyError | Unavailable | ConnectionError)
        _fail(problem, explanation(problem) if explained else str(problem))


def _run() -> None:
    """Run the command; where standard error is for records, misuse and bugs are records too."""
    cli = _cli()
    if not logs_json():
        cli()
    try:
        code = cli(standalone_mode=False)
    except typer.TyperException as usage_error:
        fail(usage_error.format_message(), usage_error.exit_code)
    except typer.Abort:
        fail("Aborted.")
    except EXPECTED_ERRORS:
        raise
    except Exception:
        log.critical("The command failed", exc_info=True)
        sys.exit(1)
    sys.exit(code)


def _cli() -> typer.Typer:
    """Make the command, also where MODULES is wrong: it says so, and gives help all the same.

    Raises:
        Misconfigured: MODULES is wrong, and a command is to run.

    """
    try:
        return cli_of(modules_named(named_modules()))
    except Misconfigured as problem:
        if not _asks_for_help(sys.argv[1:]):
            raise
        to_stderr(logging.WARNING, str(problem))
        return cli_of(MODULES)


def _asks_for_help(arguments: Sequence[str]) -> bool:
    return not arguments or not {"--help", "--version"}.isdisjoint(arguments)


def _fail(problem: Exception, line: str) -> NoReturn:
    remove_values(problem)
    log.debug("The command failed", exc_info=problem)
    fail(line)
