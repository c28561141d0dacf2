"""Commands for who runs the server: migrating, exporting the schema, rotating keys."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app import grants, migrations
from app.application import default_schema
from app.commands.setup import database, database_alone, fail, out, started, url_of
from app.config import Settings, read_settings
from app.graphql.schema import printed
from app.portico import build

RETENTION_HELP = "Let the roles remove audit events too, as AUDIT_KEEP_DAYS needs."
GRANT_HELP = "Also do what `portico db grant ROLE` does; may be repeated."


def db_upgrade(
    *,
    grant: Annotated[list[str] | None, typer.Option(metavar="ROLE", help=GRANT_HELP)] = None,
    audit_retention: Annotated[
        bool, typer.Option("--audit-retention", help=RETENTION_HELP)
    ] = False,
) -> None:
    """Bring the database to the newest revision. Safe to run from several places at once.

    Roles that serve already are given what the new tables need.
    """
    roles = grant or ()
    if audit_retention and not roles:
        fail("--audit-retention is for the roles that --grant names.")
    with database_alone(read_settings()) as settings:
        upgraded = migrations.upgrade(url_of(settings), roles, retention=audit_retention)
    out.print(
        f"The database is at revision {migrations.head()}, the newest."
        if upgraded.newest
        else "A newer release has migrated the database already: nothing to do."
    )
    if upgraded.newest and roles:
        out.print(f"{', '.join(roles)} can serve.", markup=False)
    if upgraded.note:
        out.print(upgraded.note, markup=False)
    for warning in upgraded.warnings:
        out.print(f"[yellow]Warning[/yellow]   {escape(warning)}.")


def db_grant(
    roles: Annotated[list[str], typer.Argument(metavar="ROLE…", help="Who serves.")],
    *,
    audit_retention: Annotated[
        bool, typer.Option("--audit-retention", help=RETENTION_HELP)
    ] = False,
) -> None:
    """Give roles what serving and all commands need, and take away what they had beyond it.

    Run it as the role that owns the tables. `portico db upgrade` renews it.
    """
    with database_alone(read_settings()) as settings:
        excess = asyncio.run(grants.grant(url_of(settings), roles, retention=audit_retention))
    out.print(f"{', '.join(roles)} can serve.", markup=False)
    if excess:
        fail("\n".join(f"{each}, and no grant takes that away." for each in excess))


def schema_export(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the file differs from the code.")
    ] = False,
    path: Annotated[Path, typer.Option(help="The file.")] = Path("schema.graphql"),
) -> None:
    """Write the schema that the code serves, with default limits, to schema.graphql."""
    text = printed(default_schema())
    current = path.read_text(encoding="utf-8") if path.exists() else None
    if check:
        if current != text:
            fail(f"{path} differs from the code. Run `portico schema export` and commit it.")
        out.print(f"{path} is what the code serves.")
        return
    path.write_text(text, encoding="utf-8")
    out.print(f"{path} was {'already up to date' if current == text else 'written'}.")


def keys_rotate() -> None:
    """Make a new key and sign with it. Tokens signed with the former one stay valid."""
    with database(read_settings()) as settings:
        key_id = asyncio.run(_rotate(settings))
    out.print(f"Key {key_id} is made. Every worker signs with it within a minute.")


async def _rotate(settings: Settings) -> str:
    async with started(build(settings)) as portico:
        return await portico.keys.rotate()
