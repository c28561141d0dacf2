"""`portico audit verify`, and the export of checkpoints to a file."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.audit.services.checkpoint_files import Checkpoint, InvalidFile, read_checkpoints
from app.audit.services.integrity.checkpoint_copies import CheckpointCopies
from app.audit.services.integrity.records import VerificationRecords
from app.audit.services.integrity.report import AuditReport, InvalidAudit
from app.audit.services.integrity.verifier import AuditVerifier
from app.cli.console import fail, out
from app.cli.setup import database
from app.composition import Portico, build
from app.database.readiness import Readiness
from app.modules import read_settings
from app.settings import Settings

STANDARD_OUTPUT = Path("-")
OWNER_ONLY = 0o600
# Checkpoints are made every five minutes while a server runs.
UNSIGNED_TOLERANCE = timedelta(hours=1)
NOT_RECORDED = "This run is not recorded: the database is read-only, or this role may only read it."
NOTHING_SIGNED = (
    "Nothing is signed yet, so SECRET_KEY was not checked: a running server makes checkpoints."
)


def verify(*, against: Path | None) -> None:
    with database(read_settings()) as settings, _checkpoints_in(against) as checkpoints:
        try:
            report, recorded = asyncio.run(_verify(settings, checkpoints))
        except InvalidFile as invalid:
            fail(f"{against}: {invalid}.")
    for warning in (*report.warnings, *_unsigned_warnings(report)):
        out.print(f"[yellow]Warning[/yellow]   {escape(warning)}.")
    if not recorded:
        out.print(NOT_RECORDED)
    if report.findings:
        fail("\n".join(f"{finding}." for finding in report.findings))
    if report.compared:
        first, last = report.compared
        out.print(
            f"All checkpoints in {against}, {first.number} to {last.number}, "
            f"{first.moment:%Y-%m-%d %H:%M:%S} to {last.moment:%Y-%m-%d %H:%M:%S} UTC, "
            "are in the database, with all that they signed.",
            markup=False,
        )
    erased = f", {report.erased_addresses} addresses erased" if report.erased_addresses else ""
    since = f" since {report.kept_since}" if report.kept_since else ""
    out.print(
        f"{report.events} events in {len(report.chains)} chains{since}, "
        f"{report.checkpoints} checkpoints{erased}: valid."
    )
    if not report.checkpoints:
        out.print(NOTHING_SIGNED)
    if report.epoch and report.unverified_checkpoints:
        epoch = report.epoch
        out.print(
            f"Of {report.unverified_checkpoints} checkpoints before {epoch.at:%Y-%m-%d %H:%M} UTC, "
            "when SECRET_KEY was declared compromised, the hashes were verified, but not the "
            "signatures: that needs the former SECRET_KEY. Checkpoint "
            f"{epoch.number} signs the hash of the last one, {epoch.former_hash.hex()}."
        )


def export(file: Path) -> None:
    with database(read_settings()) as settings:
        try:
            number, last = asyncio.run(_export(settings, file))
        except InvalidFile as invalid:
            fail(f"{file}: {invalid}.")
        except InvalidAudit as invalid:
            fail(f"{invalid}.")
    if file != STANDARD_OUTPUT:
        up_to = f", up to checkpoint {last}" if last else ""
        out.print(
            f"{number} checkpoints added to {file}{up_to}. Only you can read it.", markup=False
        )


async def _verify(
    settings: Settings, checkpoints: Iterator[Checkpoint] | None
) -> tuple[AuditReport, bool]:
    """Returns the report, and whether it could be recorded."""
    async with _without_signing_keys(settings) as portico:
        with _progress_display() as progress:
            report = await portico.services[AuditVerifier].verify(progress, checkpoints)
        return report, await portico.services[VerificationRecords].record(report)


@contextmanager
def _progress_display() -> Generator[Callable[[int], object]]:
    columns = (SpinnerColumn(), TextColumn("{task.completed} events"), TimeElapsedColumn())
    with Progress(*columns, console=out, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("", total=None)
        yield lambda number: progress.update(task, completed=number)


@asynccontextmanager
async def _without_signing_keys(settings: Settings) -> AsyncGenerator[Portico]:
    """Yield the services without loading signing keys, which cannot be made on a standby."""
    portico = build(settings)
    try:
        await portico.services[Readiness].check()
        await portico.services[Readiness].check_schema()
        yield portico
    finally:
        await portico.stop()


def _unsigned_warnings(report: AuditReport) -> Iterator[str]:
    since = report.unsigned_since
    if since is None or report.findings:
        return
    if datetime.now(UTC) - since > UNSIGNED_TOLERANCE:
        yield (
            f"{report.unsigned_events} events since {since:%Y-%m-%d %H:%M:%S} UTC are not signed "
            "yet: a running server signs them within five minutes"
        )


@contextmanager
def _checkpoints_in(file: Path | None) -> Generator[Iterator[Checkpoint] | None]:
    if file is None:
        yield None
        return
    try:
        lines = file.open("rb")
    except OSError as problem:
        fail(f"{file}: {problem.strerror}.")
    with lines:
        yield read_checkpoints(lines)


async def _export(settings: Settings, file: Path) -> tuple[int, int]:
    """Returns how many checkpoints were added, and the number of the last one in the file."""
    async with _without_signing_keys(settings) as portico:
        copies = portico.services[CheckpointCopies]
        if file == STANDARD_OUTPUT:
            return await _write(copies, sys.stdout.buffer, 0)
        last = _last_checkpoint(file)
        if last is not None:
            await copies.check_contains(last)
        with _opened_for_append(file) as lines:
            return await _write(copies, lines, last.number if last else 0)


async def _write(copies: CheckpointCopies, lines: BinaryIO, after: int) -> tuple[int, int]:
    number, last = 0, after
    async for checkpoint in copies.checkpoints_after(after):
        lines.write(checkpoint.to_line())
        number, last = number + 1, checkpoint.number
    lines.flush()
    return number, last


def _last_checkpoint(file: Path) -> Checkpoint | None:
    if not file.exists():
        return None
    with file.open("rb") as lines:
        last = deque(read_checkpoints(lines), maxlen=1)
    return last[0] if last else None


@contextmanager
def _opened_for_append(file: Path) -> Generator[BinaryIO]:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, OWNER_ONLY)
    with open(descriptor, "ab") as lines:  # noqa: PTH123 - Path.open sets no mode
        os.fchmod(descriptor, OWNER_ONLY)
        yield lines
