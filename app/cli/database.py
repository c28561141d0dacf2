"""`portico db upgrade` and `portico db grant`, for the owner of the tables."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.setup import database_alone, fail, out, url_of
from app.database import grants, migrations, revisions
from app.database.grants import ExcessPrivileges
from app.database.migration_plan import PendingMigration, TableEffect, pending
from app.database.online_ddl import LOCK_TIMEOUT, STATEMENT_TIMEOUT
from app.modules import branches_of, modules_named, read_settings

TIMEOUTS = (
    f"Locks are waited for at most {LOCK_TIMEOUT} and held at most {STATEMENT_TIMEOUT}; if another "
    "transaction blocks one, it is retried for a minute. Building an index waits for all earlier "
    "transactions to end, without a limit, and logs them."
)
RETENTION_HELP = "Allow the roles to remove audit events, which AUDIT_KEEP_DAYS needs."
GRANT_HELP = "Run `portico db grant ROLE` too; may be repeated."
PLAN_HELP = "Show the effects on tables in use, and change nothing."


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
    roles = grant or ()
    if audit_retention and not roles:
        fail("--audit-retention is for the roles that --grant names.")
    with database_alone(read_settings()) as settings:
        branches = branches_of(modules_named(settings.modules))
        steps = pending(url_of(settings), branches)
        _show_plan(steps)
        if plan:
            if not steps:
                out.print("No migration is pending on tables in use.")
            return
        upgraded = migrations.upgrade(
            url_of(settings), roles, retention=audit_retention, branches=branches
        )
    out.print(
        f"The database is at revision {revisions.head()}, the newest."
        if upgraded.newest
        else "A newer release has migrated the database already: nothing to do."
    )
    if upgraded.newest and roles:
        out.print(f"{', '.join(roles)} can serve.", markup=False)
    if upgraded.note:
        out.print(upgraded.note, markup=False)
    for warning in upgraded.warnings:
        out.print(f"[yellow]Warning[/yellow]   {escape(warning)}.")


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
    with database_alone(read_settings()) as settings:
        excess = asyncio.run(grants.grant(url_of(settings), roles, retention=audit_retention))
    out.print(f"{', '.join(roles)} can serve.", markup=False)
    if excess:
        fail("\n".join(map(_excess_line, excess)))


def _excess_line(excess: ExcessPrivileges) -> str:
    remedy = f" Run {excess.remedy}." if excess.remedy else ""
    return f"{excess}, which `portico db grant` cannot revoke.{remedy}"


def _show_plan(steps: Sequence[PendingMigration]) -> None:
    """Show the effects of each migration on tables in use, and how long they may take."""
    for step in steps:
        out.print(f"{step.revision}  {step.title}", markup=False)
        for each in step.effects:
            out.print(f"      {_effect_line(each)}", markup=False)
        if not step.effects:
            out.print("      No table in use is locked.")
    if steps:
        out.print(TIMEOUTS)


def _effect_line(each: TableEffect) -> str:
    if each.seconds is None:
        return f"{each.table}: {each.effect.value}"
    return f"{each.table}: {each.effect.value}, up to {max(each.seconds, 1)} s"


COMMANDS = typer.Typer(
    name="db", help="Upgrade the database, and grant roles access to it.", no_args_is_help=True
)
COMMANDS.command("upgrade")(upgrade)
COMMANDS.command("grant")(grant)
