"""`portico audit verify`: whether what the audit says is what happened."""

import asyncio
import sys

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.commands.setup import database, fail, out, started
from app.config import Settings, read_settings
from app.portico import build
from app.services.verification import Broken, Walk


def verify() -> None:
    """Walk the audit: every event, every chain, every signature. Writers go on meanwhile."""
    with database(read_settings()) as settings:
        try:
            found = asyncio.run(_verify(settings))
        except Broken as broken:
            fail(f"{broken}.")
    erased = f", {found.erased} addresses erased" if found.erased else ""
    since = f" since {found.since}" if found.since else ""
    out.print(
        f"{found.events} events in {len(found.chains)} chains{since}, "
        f"{found.checkpoints} checkpoints{erased}: valid."
    )
    if found.epoch and found.unopened:
        out.print(
            f"Of {found.unopened} checkpoints before {found.epoch.at:%Y-%m-%d %H:%M} UTC, when "
            "SECRET_KEY was declared compromised, the hashes were verified and the signatures were"
            f" not: they need the former SECRET_KEY. Checkpoint {found.epoch.number} signs what "
            f"they ended with, {found.epoch.former_hash.hex()}."
        )


async def _verify(settings: Settings) -> Walk:
    async with started(build(settings)) as portico:
        columns = (SpinnerColumn(), TextColumn("{task.completed} events"), TimeElapsedColumn())
        with Progress(*columns, console=out, disable=not sys.stdout.isatty()) as progress:
            task = progress.add_task("", total=None)
            return await portico.verification.walk(
                lambda number: progress.update(task, completed=number)
            )
