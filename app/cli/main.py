"""The `portico` command: its subcommands, and one line for each error."""

import logging
import sys
from collections.abc import Collection, Iterable, Sequence
from importlib.util import find_spec
from typing import Annotated

import typer

from app.cli import commands
from app.cli.console import fail, to_stderr
from app.cli.start import VERSION_OPTION
from app.config.sources import named_modules, read_logging
from app.errors import Misconfigured
from app.imports import import_attribute, import_module
from app.logs import log_to_stderr, logs_json
from app.module_paths import PORTICO

log = logging.getLogger(__name__)


def cli_of(modules: Iterable[str]) -> typer.Typer:
    """Returns the command, with the subcommands of the modules at these Python paths.

    They are found without the `module.py`, which imports all services: `commands` of a module
    imports none of them.

    Raises:
        Misconfigured: those of a module cannot be imported, or their name exists already.

    """
    cli = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    cli.callback()(portico)
    for command in commands.SINGLE:
        cli.command()(command)
    for group in commands.GROUPS:
        cli.add_typer(group)
    names = set(typer.main.get_group(cli).commands)
    for path in modules:
        import_module(path)
        if find_spec(f"{path}.commands") is not None:
            names.add(_add(cli, f"{path}.commands", names))
    return cli


def _add(cli: typer.Typer, path: str, names: Collection[str]) -> str:
    """Add the commands of a module; returns their name, which must not be among `names`.

    Raises:
        Misconfigured: their name exists already.

    """
    group: typer.Typer = import_attribute(path, "COMMANDS", typer.Typer)
    name = str(group.info.name)
    if name in names:
        raise Misconfigured(f"The command `portico {name}` of {path} exists already")
    cli.add_typer(group)
    return name


def _print_version(asked: bool) -> None:
    if asked:
        import_module("app.cli.version").print_version()
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
    except Exception as problem:
        # Imported here: most commands that succeed, and help, need no SQLAlchemy.
        failures = import_module("app.cli.failures")
        if not isinstance(problem, failures.EXPECTED):
            raise
        line = failures.line_of(problem)
        log.debug("The command failed", exc_info=problem)
        fail(line)


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
    except Exception as problem:
        if isinstance(problem, import_module("app.cli.failures").EXPECTED):
            raise
        log.critical("The command failed", exc_info=True)
        sys.exit(1)
    sys.exit(code)


def _cli() -> typer.Typer:
    """Make the command, also where MODULES is wrong: it says so, and gives help all the same.

    Raises:
        Misconfigured: MODULES is wrong, and a command is to run.

    """
    try:
        return cli_of((*PORTICO, *named_modules()))
    except Misconfigured as problem:
        if not _asks_for_help(sys.argv[1:]):
            raise
        to_stderr(logging.WARNING, str(problem))
        return cli_of(PORTICO)


def _asks_for_help(arguments: Sequence[str]) -> bool:
    return not arguments or not {"--help", "--version"}.isdisjoint(arguments)
