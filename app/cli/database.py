"""`portico db upgrade` and `portico db grant`, for the owner of the tables."""

import asyncio
from collections.abc import Sequence

from rich.markup import escape

from app.cli.console import fail, out
from app.cli.setup import database_alone, url_of
from app.database import grants, migrations, revisions
from app.database.grants import ExcessPrivileges
from app.database.migration_limits import LOCK_TIMEOUT, STATEMENT_TIMEOUT
from app.database.migration_plan import PendingMigration, TableEffect, pending
from app.modules import branches_of, modules_named, read_settings

TIMEOUTS = (
    f"Locks are waited for at most {LOCK_TIMEOUT} and held at most {STATEMENT_TIMEOUT}; if another "
    "transaction blocks one, it is retried for a minute. Building an index waits for all earlier "
    "transactions to end, without a limit, and logs them."
)


def upgrade(*, grant: Sequence[str] | None, audit_retention: bool, plan: bool) -> None:
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


def grant(roles: Sequence[str], *, audit_retention: bool) -> None:
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
