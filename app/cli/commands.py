"""The commands of `portico` that belong to no module."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.deferred import runs

DATABASE = typer.Typer(
    name="db", help="Upgrade the database, and grant roles access to it.", no_args_is_help=True
)
SCHEMA = typer.Typer(name="schema", help="The GraphQL schema.", no_args_is_help=True)

PORT_HELP = "Port to listen on."
AS_JSON = "One JSON object: for each setting its value, source and description."
AS_MARKDOWN = "The reference table of all settings, whatever is set."
CHECKS_AS_JSON = "A JSON list: for each check its name, state, text and hint."
RETENTION_HELP = "Allow the roles to remove audit events, which AUDIT_KEEP_DAYS needs."
GRANT_HELP = "Run `portico db grant ROLE` too; may be repeated."
PLAN_HELP = "Show the effects on tables in use, and change nothing."
CHECK_HELP = "Write nothing; fail if the file differs from the code."


@runs("app.cli.serve")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help=PORT_HELP)] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of worker processes.")] = 1,
) -> None:
    """Serve the API. Without DATABASE_URL, it runs a database of its own in DATA_DIR."""


@runs("app.cli.worker")
def worker() -> None:
    """Run jobs, separately from the server. Stop it with Ctrl-C: a running job may finish."""


@runs("app.cli.settings")
def settings(
    *,
    as_json: Annotated[bool, typer.Option("--json", help=AS_JSON)] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help=AS_MARKDOWN)] = False,
) -> None:
    """Show every setting that is in force and where it comes from. Secrets are masked."""


@runs("app.cli.doctor.command")
def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help=CHECKS_AS_JSON)] = False
) -> None:
    """Check settings, database, keys, mail and addresses, and change nothing.

    Exit code 1 if a check failed; warnings do not count.
    """


@DATABASE.command()
@runs("app.cli.database")
def upgrade(
    *,
    grant: Annotated[list[str] | None, typer.Option(metavar="ROLE", help=GRANT_HELP)] = None,
    audit_retention: Annotated[
        bool, typer.Option("--audit-retention", help=RETENTION_HELP)
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help=PLAN_HELP)] = False,
) -> None:
    """Upgrade the database to the newest revision. Safe to run from several places at once.

    Roles that serve already get the privileges for new tables.
    """


@DATABASE.command()
@runs("app.cli.database")
def grant(
    roles: Annotated[list[str], typer.Argument(metavar="ROLE…", help="Roles that serve.")],
    *,
    audit_retention: Annotated[
        bool, typer.Option("--audit-retention", help=RETENTION_HELP)
    ] = False,
) -> None:
    """Grant roles the privileges that serving and all commands need, and revoke all others.

    Run it as the role that owns the tables. `portico db upgrade` repeats it for new tables.
    """


@SCHEMA.command()
@runs("app.cli.schema")
def export(
    *,
    check: Annotated[bool, typer.Option("--check", help=CHECK_HELP)] = False,
    path: Annotated[Path, typer.Option(help="The file.")] = Path("schema.graphql"),
) -> None:
    """Write the schema that the code serves, with default limits, to schema.graphql."""


SINGLE = (serve, worker, settings, doctor)
GROUPS = (DATABASE, SCHEMA)
