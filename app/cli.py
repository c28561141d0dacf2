"""The `portico` command: which words it knows, and one line for what is wrong with a set-up."""

import logging
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.commands import audit, jobs, maintenance, people, serving, settings
from app.commands.setup import fail, out
from app.database_errors import explanation
from app.errors import Hindered, Misconfigured, Unavailable
from app.logs import log_to_stderr
from app.outages import forget_values

log = logging.getLogger(__name__)

cli = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
db = typer.Typer(help="The database.", no_args_is_help=True)
schema = typer.Typer(help="The GraphQL schema.", no_args_is_help=True)
keys = typer.Typer(help="The keys that sign access tokens.", no_args_is_help=True)
queue = typer.Typer(help="The queue of jobs.", invoke_without_command=True)
cli.add_typer(db, name="db")
cli.add_typer(queue, name="jobs")
audit_ = typer.Typer(help="The audit.", no_args_is_help=True)
cli.add_typer(audit_, name="audit")
checkpoints = typer.Typer(help="The checkpoints of the audit.", no_args_is_help=True)
audit_.add_typer(checkpoints, name="checkpoints")
users = typer.Typer(help="The people.", no_args_is_help=True)
cli.add_typer(users, name="users")
cli.add_typer(keys, name="keys")
cli.add_typer(schema, name="schema")

cli.command()(serving.serve)
cli.command()(jobs.worker)
cli.command("settings")(settings.show)
queue.callback()(jobs.jobs)
queue.command("retry")(jobs.retry)
users.command("create-admin")(people.create_admin)
users.command("import")(people.import_users)
users.command("export")(people.export_users)
audit_.command("verify")(audit.verify)
checkpoints.command("export")(audit.export_checkpoints)
db.command("upgrade")(maintenance.db_upgrade)
db.command("grant")(maintenance.db_grant)
schema.command("export")(maintenance.schema_export)
keys.command("rotate")(maintenance.keys_rotate)


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"portico {version('portico')}")
        raise typer.Exit


@cli.callback()
def portico(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Portico, a GraphQL identity API."""


def main() -> None:
    """Run the command line; what is wrong with the set-up is a line each, exit code 1.

    With LOG_LEVEL=DEBUG the log says where it came from.
    """
    log_to_stderr("INFO", "console")
    try:
        cli()
    except (Misconfigured, Hindered) as problem:
        _fail(problem, str(problem))
    except (SQLAlchemyError, Unavailable, ConnectionError) as problem:
        _fail(problem, explanation(problem))
    except OSError as problem:
        _fail(problem, str(problem))


def _fail(problem: Exception, line: str) -> NoReturn:
    forget_values(problem)
    log.debug("The command failed", exc_info=problem)
    fail(line)
