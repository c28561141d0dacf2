"""`portico audit`: whether what the audit says is what happened, and its checkpoints in a file."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.audit.services.checkpoint_files import Checkpoint, InvalidFile, read
from app.audit.services.integrity import Broken, Verification, Walk
from app.cli.setup import database, fail, out
from app.composition import Portico, build
from app.database.readiness import Readiness
from app.modules import read_settings
from app.settings import Settings

DASH = Path("-")
FOR_YOU_ALONE = 0o600
# Checkpoints are made every five minutes while a server runs.
SIGNED_WITHIN = timedelta(hours=1)
NOT_RECORDED = "This run is not recorded: the database is read-only, or this role may only read it."
NOTHING_SIGNED = (
    "Nothing is signed yet, so SECRET_KEY was not checked: a server that runs makes checkpoints."
)
AGAINST_HELP = "A file of `portico audit checkpoints export`, kept elsewhere."
FILE_HELP = "The file; what it has already is compared and kept. - is standard output."


def verify(
    *,
    against: Annotated[Path | None, typer.Option(metavar="FILE", help=AGAINST_HELP)] = None,
) -> None:
    """Walk the audit: every event, every chain, every signature. Writers go on meanwhile."""
    with database(read_settings()) as settings, _checkpoints_of(against) as kept:
        try:
            found, recorded = asyncio.run(_verify(settings, kept))
        except InvalidFile as invalid:
            fail(f"{against}: {invalid}.")
    for warning in (*found.warnings, *_unsigned(found)):
        out.print(f"[yellow]Warning[/yellow]   {escape(warning)}.")
    if not recorded:
        out.print(NOT_RECORDED)
    if found.findings:
        fail("\n".join(f"{finding}." for finding in found.findings))
    if found.against:
        first, last = found.against
        out.print(
            f"All checkpoints in {against}, {first.number} to {last.number}, "
            f"{first.moment:%Y-%m-%d %H:%M:%S} to {last.moment:%Y-%m-%d %H:%M:%S} UTC, "
            "are in the database, and all that they signed.",
            markup=False,
        )
    erased = f", {found.erased} addresses erased" if found.erased else ""
    since = f" since {found.since}" if found.since else ""
    out.print(
        f"{found.events} events in {len(found.chains)} chains{since}, "
        f"{found.checkpoints} checkpoints{erased}: valid."
    )
    if not found.checkpoints:
        out.print(NOTHING_SIGNED)
    if found.epoch and found.unopened:
        out.print(
            f"Of {found.unopened} checkpoints before {found.epoch.at:%Y-%m-%d %H:%M} UTC, when "
            "SECRET_KEY was declared compromised, the hashes were verified and the signatures were"
            f" not: they need the former SECRET_KEY. Checkpoint {found.epoch.number} signs what "
            f"they ended with, {found.epoch.former_hash.hex()}."
        )


def export_checkpoints(
    file: Annotated[Path, typer.Argument(help=FILE_HELP)],
) -> None:
    """Write checkpoints to a file, a line of JSON each: those that it does not have yet.

    Keep it where operators of the database cannot change it. A line is verified with the
    public key in it, without SECRET_KEY.
    """
    with database(read_settings()) as settings:
        try:
            number, last = asyncio.run(_export(settings, file))
        except InvalidFile as invalid:
            fail(f"{file}: {invalid}.")
        except Broken as broken:
            fail(f"{broken}.")
    if file != DASH:
        up_to = f", up to checkpoint {last}" if last else ""
        out.print(
            f"{number} checkpoints added to {file}{up_to}. Only you can read it.", markup=False
        )


async def _verify(settings: Settings, against: Iterator[Checkpoint] | None) -> tuple[Walk, bool]:
    async with _reading(settings) as portico:
        with _meter() as progress:
            found = await portico.services[Verification].look(progress, against)
        return found, await portico.services[Verification].record(found)


@contextmanager
def _meter() -> Generator[Callable[[int], object]]:
    columns = (SpinnerColumn(), TextColumn("{task.completed} events"), TimeElapsedColumn())
    with Progress(*columns, console=out, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("", total=None)
        yield lambda number: progress.update(task, completed=number)


@asynccontextmanager
async def _reading(settings: Settings) -> AsyncGenerator[Portico]:
    """Yield the services without loading signing keys, which a standby could not create."""
    portico = build(settings)
    try:
        await portico.services[Readiness].check()
        await portico.services[Readiness].check_schema()
        yield portico
    finally:
        await portico.stop()


def _unsigned(found: Walk) -> Iterator[str]:
    since = found.unsigned_since
    if since is not None and datetime.now(UTC) - since > SIGNED_WITHIN and not found.findings:
        yield (
            f"{found.unsigned} events since {since:%Y-%m-%d %H:%M:%S} UTC are not signed yet: "
            "a server that runs signs them within five minutes"
        )


@contextmanager
def _checkpoints_of(file: Path | None) -> Generator[Iterator[Checkpoint] | None]:
    if file is None:
        yield None
        return
    try:
        lines = file.open("rb")
    except OSError as problem:
        fail(f"{file}: {problem.strerror}.")
    with lines:
        yield read(lines)


async def _export(settings: Settings, file: Path) -> tuple[int, int]:
    """Returns how many checkpoints were added, and the number of the last one in the file."""
    async with _reading(settings) as portico:
        if file == DASH:
            return await _write(portico.services[Verification], sys.stdout.buffer, 0)
        last = _last_of(file)
        if last is not None:
            await portico.services[Verification].check_present(last)
        with _appended(file) as lines:
            return await _write(portico.services[Verification], lines, last.number if last else 0)


async def _write(verification: Verification, lines: BinaryIO, after: int) -> tuple[int, int]:
    number, last = 0, after
    async for checkpoint in verification.checkpoints(after):
        lines.write(checkpoint.line())
        number, last = number + 1, checkpoint.number
    lines.flush()
    return number, last


def _last_of(file: Path) -> Checkpoint | None:
    if not file.exists():
        return None
    with file.open("rb") as lines:
        last = deque(read(lines), maxlen=1)
    return last[0] if last else None


@contextmanager
def _appended(file: Path) -> Generator[BinaryIO]:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FOR_YOU_ALONE)
    with open(descriptor, "ab") as lines:  # noqa: PTH123 - Path.open sets no mode
        os.fchmod(descriptor, FOR_YOU_ALONE)
        yield lines


COMMANDS = typer.Typer(name="audit", help="The audit.", no_args_is_help=True)
CHECKPOINTS = typer.Typer(
    name="checkpoints", help="The checkpoints of the audit.", no_args_is_help=True
)
COMMANDS.add_typer(CHECKPOINTS)
COMMANDS.command("verify")(verify)
CHECKPOINTS.command("export")(export_checkpoints)
