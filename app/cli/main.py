"""The `portico` command: which words it knows, and one line for what is wrong with a set-up."""

import logging
import sys
from typing import Annotated, NoReturn

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.cli import database, schema, serve, settings, worker
from app.cli.doctor import command as examination
from app.cli.setup import fail
from app.cli.version import VERSION_OPTION, print_version
from app.config.sources import named_modules, read_logging
from app.database.errors import explanation
from app.database.outages import forget_values
from app.errors import Hindered, Misconfigured, Unavailable
from app.imports import attribute
from app.logs import log_to_stderr, logs_json
from app.module import Module
from app.modules import modules_named

# What is wrong with the set-up or with what it depends on, and no bug.
EXPECTED = (Misconfigured, Hindered, SQLAlchemyError, Unavailable, OSError)

OWN_COMMANDS = ("serve", "worker", "settings", "doctor")

log = logging.getLogger(__name__)


def cli_of(modules: tuple[Module, ...]) -> typer.Typer:
    """Make the command, with those of modules below it.

    Raises:
        Misconfigured: those of a module cannot be imported, or their name is taken.

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
        Misconfigured: their name is taken.

    """
    commands: typer.Typer = attribute(path, "COMMANDS", typer.Typer)
    name = commands.info.name
    groups = {
        each.typer_instance.info.name for each in cli.registered_groups if each.typer_instance
    }
    if name in {*OWN_COMMANDS, *groups}:
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
    """Run the command line; what is wrong with the set-up is a line each, exit code 1.

    With LOG_LEVEL=DEBUG the log says where it came from. With LOG_FORMAT=json, all on standard
    error is a record.
    """
    log_to_stderr("INFO", "console")
    log_to_stderr(*read_logging())
    try:
        _run()
    except EXPECTED as problem:
        # Of these a connection's errors are explained by what the database said.
        explained = isinstance(problem, SQLAlchemyError | Unavailable | ConnectionError)
        _fail(problem, explanation(problem) if explained else str(problem))


def _run() -> None:
    """Run the command; where standard error is for records, misuse and bugs are records too."""
    cli = cli_of(modules_named(named_modules()))
    if not logs_json():
        cli()
    try:
        code = cli(standalone_mode=False)
    except typer.TyperException as misuse:
        fail(misuse.format_message(), misuse.exit_code)
    except typer.Abort:
        fail("Aborted.")
    except EXPECTED:
        raise
    except Exception:
        log.critical("The command failed", exc_info=True)
        sys.exit(1)
    sys.exit(code)


def _fail(problem: Exception, line: str) -> NoReturn:
    forget_values(problem)
    log.debug("The command failed", exc_info=problem)
    fail(line)
