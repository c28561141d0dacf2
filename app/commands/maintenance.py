"""Commands for who runs the server: exporting the schema, rotating keys."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.application import default_schema
from app.commands.setup import database, fail, out, started
from app.config import Settings, read_settings
from app.graphql.schema import printed
from app.portico import build


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
