"""`portico notes count`."""

import asyncio

from app.cli.console import out
from app.cli.setup import database, started
from app.composition import build
from app.modules import read_settings
from app.settings import Settings
from my_api.notes.services.notes import Notes


def count() -> None:
    with database(read_settings()) as settings:
        out.print(asyncio.run(_count(settings)))


async def _count(settings: Settings) -> int:
    async with started(build(settings)) as portico:
        return await portico.services[Notes].count()
