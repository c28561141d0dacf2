"""Commands for who runs the server: migrating, exporting the schema, rotating keys."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app import migrations
from app.application import default_schema
from app.commands.setup import database, database_alone, fail, out, started, url_of
from app.config import Settings, read_settings
from app.graphql.schema import printed
from app.migration_plan import Noticed, Step, pending
from app.online import LOCK_TIMEOUT, STATEMENT_TIMEOUT
from app.portico import build

LIMITS_SAID = (
    f"A lock is waited for {LOCK_TIMEOUT} and held {STATEMENT_TIMEOUT} at most; if another "
    "transaction is in the way, it is tried again for a minute."
)


def db_upgrade(
    *,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would be done to which tables; do nothing.")
    ] = False,
) -> None:
    """Bring the database to the newest revision. Safe to run from several places at once."""
    with database_alone(read_settings()) as settings:
        steps = pending(url_of(settings))
        _show_plan(steps)
        if plan:
            if not steps:
                out.print("No migration is pending on tables that are in use.")
            return
        upgraded = migrations.upgrade(url_of(settings))
    out.print(
        f"The database is at revision {migrations.head()}, the newest."
        if upgraded.newest
        else "A newer release has migrated the database already: nothing to do."
    )
    if upgraded.note:
        out.print(upgraded.note, markup=False)


def _show_plan(steps: Sequence[Step]) -> None:
    """Say what each migration does to tables that are in use, and how long it may take."""
    for step in steps:
        out.print(f"{step.revision}  {step.title}", markup=False)
        for each in step.noticed:
            out.print(f"      {_noticed(each)}", markup=False)
        if not step.noticed:
            out.print("      Nothing that is in use is locked.")
    if steps:
        out.print(LIMITS_SAID)


def _noticed(each: Noticed) -> str:
    if each.seconds is None:
        return f"{each.table}: {each.effect.value}"
    return f"{each.table}: {each.effect.value}, up to {max(each.seconds, 1)} s"


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
