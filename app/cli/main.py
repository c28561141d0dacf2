"""The `portico` command: which words it knows, and one line for what is wrong with a set-up."""

import logging
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.audit import commands as audit
from app.cli import database, serve, settings, worker
from app.cli import schema as schema_commands
from app.cli.doctor import command as examination
from app.cli.setup import fail, out
from app.config.settings import read_logging
from app.database.errors import explanation
from app.database.outages import forget_values
from app.errors import Hindered, Misconfigured, Unavailable
from app.jobs import commands as jobs
from app.keys import commands as keys
from app.logs import log_to_stderr, logs_json
from app.mail import commands as mail
from app.people.commands import one_user, user_files

# What is wrong with the set-up or with what it depends on, and no bug.
EXPECTED = (Misconfigured, Hindered, SQLAlchemyError, Unavailable, OSError)

log = logging.getLogger(__name__)

cli = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
db = typer.Typer(help="The database.", no_args_is_help=True)
schema = typer.Typer(help="The GraphQL schema.", no_args_is_help=True)
ring = typer.Typer(
    help="The keys that sign access tokens, and SECRET_KEY.", invoke_without_command=True
)
queue = typer.Typer(help="The queue of jobs.", invoke_without_command=True)
cli.add_typer(db, name="db")
cli.add_typer(queue, name="jobs")
mail_ = typer.Typer(help="Emails: the mail server and templates.", no_args_is_help=True)
cli.add_typer(mail_, name="mail")
audit_ = typer.Typer(help="The audit.", no_args_is_help=True)
cli.add_typer(audit_, name="audit")
checkpoints = typer.Typer(help="The checkpoints of the audit.", no_args_is_help=True)
audit_.add_typer(checkpoints, name="checkpoints")
users = typer.Typer(help="The people.", no_args_is_help=True)
cli.add_typer(users, name="users")
cli.add_typer(ring, name="keys")
cli.add_typer(schema, name="schema")

cli.command()(serve.serve)
cli.command("worker")(worker.work)
cli.command("settings")(settings.show)
cli.command()(examination.doctor)
queue.callback()(jobs.jobs)
queue.command("retry")(jobs.retry)
mail_.command("test")(mail.send_test)
mail_.command("templates")(mail.templates)
users.command("create-admin")(user_files.create_admin)
users.command("import")(user_files.import_users)
users.command("export")(user_files.export_users)
users.command("show")(one_user.show)
users.command("suspend")(one_user.suspend)
users.command("reinstate")(one_user.reinstate)
users.command("sessions")(one_user.sessions)
users.command("delete")(one_user.delete)
users.command("personal-data")(one_user.personal_data)
audit_.command("verify")(audit.verify)
checkpoints.command("export")(audit.export_checkpoints)
db.command("upgrade")(database.upgrade)
db.command("grant")(database.grant)
schema.command("export")(schema_commands.schema_export)
ring.callback()(keys.keys)
ring.command("rotate")(keys.rotate)
ring.command("compromised")(keys.compromised)


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
