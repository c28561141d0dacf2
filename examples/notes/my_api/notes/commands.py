"""`portico notes`: commands for operators."""

import asyncio

import typer

from app.cli.setup import database, out, started
from app.composition import build
from app.modules import read_settings
from app.settings import Settings
from my_api.notes.services.notes import Notes


def count() -> None:
    """Count the notes of all users."""
    with database(read_settings()) as settings:
        out.print(asyncio.run(_count(settings)))


async def _count(settings: Settings) -> int:
    async with started(build(settings)) as portico:
        return await portico.services[Notes].count()


COMMANDS = typer.Typer(name="notes", help="Notes of users.", no_args_is_help=True)
COMMANDS.command("count")(count)
