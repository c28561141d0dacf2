"""`portico users`: making an administrator, and people in and out of files."""

import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, BinaryIO, cast

import typer

from app.commands.meter import Meter
from app.commands.setup import database, fail, out, started
from app.config import Settings, read_settings
from app.portico import build
from app.services.user_files import Fault, Import, Place

SHOWN_FAULTS = 100
STANDARD_OUTPUT = Path("-")


def create_admin(
    email: Annotated[str, typer.Argument(help="Their address.")],
    *,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make somebody who has an account one.")
    ] = False,
) -> None:
    """Make an administrator. The password is asked for, or read from standard input."""
    password = None if promote else _password()
    with database(read_settings()) as settings:
        asyncio.run(_create_admin(settings, email, password))
    out.print(f"{email} is an administrator.")


def import_users(
    file: Annotated[
        Path, typer.Argument(help="One JSON object a line.", exists=True, dir_okay=False)
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would fail.")
    ] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Pass over lines that are at fault.")
    ] = False,
) -> None:
    """Take people over. Done twice it changes nothing; interrupted, it goes on."""
    with database(read_settings()) as settings, file.open("rb") as lines:
        asyncio.run(_import(settings, lines, dry_run=dry_run, skip_invalid=skip_invalid))


def export_users(
    file: Annotated[Path, typer.Argument(help="Where to; - is standard output.")],
    *,
    with_password_hashes: Annotated[
        bool, typer.Option("--with-password-hashes", help="So that people can be taken over.")
    ] = False,
) -> None:
    """Write everybody, one JSON object a line."""
    with database(read_settings()) as settings:
        asyncio.run(_export(settings, file, with_hashes=with_password_hashes))


def _password() -> str:
    if sys.stdin.isatty():
        return typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return sys.stdin.readline().rstrip("\r\n")


async def _create_admin(settings: Settings, email: str, password: str | None) -> None:
    async with started(build(settings)) as portico:
        made = portico.appointments
        problem = await made.promote(email) if password is None else await made.add(email, password)
        if problem:
            fail(problem)


async def _import(settings: Settings, file: BinaryIO, *, dry_run: bool, skip_invalid: bool) -> None:
    async with started(build(settings)) as portico, portico.user_files.incoming() as incoming:
        people, faults = await _read(incoming, file, None if dry_run else SHOWN_FAULTS)
        missing = await incoming.missing()
        there = people - missing
        if dry_run:
            out.print(f"{missing} people would be added, {there} are there already.")
            out.print(f"Nothing was changed. {_lines(faults)} would fail.")
            return
        if faults and not skip_invalid:
            fail(f"{_lines(faults)} at fault. Nothing was changed: see --skip-invalid.")
        added = await _add(incoming, missing)
    out.print(f"{added} people added, {there} were there already, {_lines(faults)} left out.")


async def _read(incoming: Import, file: BinaryIO, shown: int | None) -> tuple[int, int]:
    """Say what is wrong with which line; give how many people there are, and how many faults."""
    place, faults = Place(0, 0), 0
    with Meter(out, "Reading", os.fstat(file.fileno()).st_size) as meter:
        async for found in incoming.read(file):
            if isinstance(found, Place):
                place = found
                meter.at(found.bytes)
            else:
                faults += 1
                _tell(found, faults, shown)
    repeated = 0
    async for fault in incoming.repeated():
        repeated += 1
        _tell(fault, faults + repeated, shown)
    if shown is not None and faults + repeated > shown:
        out.print(f"… and {faults + repeated - shown} more: --dry-run names them all.")
    return place.people - repeated, faults + repeated


async def _add(incoming: Import, missing: int) -> int:
    done = added = 0
    with Meter(out, "Adding", missing) as meter:
        async for step in incoming.add():
            done, added = done + step.people, added + step.added
            meter.at(done)
    return added


def _tell(fault: Fault, number: int, shown: int | None) -> None:
    if shown is None or number <= shown:
        out.print(f"line {fault.line}: {fault.message}", markup=False)


def _lines(number: int) -> str:
    return "1 line" if number == 1 else f"{number} lines"


async def _export(settings: Settings, file: Path, *, with_hashes: bool) -> None:
    async with started(build(settings)) as portico:
        number = 0
        with _opened(file) as lines:
            async for line in portico.user_files.give(with_hashes=with_hashes):
                lines.write(line + b"\n")
                number += 1
    if file != STANDARD_OUTPUT:
        out.print(f"{number} people written to {file}, which only you can read.")


@contextmanager
def _opened(file: Path) -> Generator[BinaryIO]:
    if file == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        return
    if file.exists() and not file.is_file():
        # A pipe or a device is written to, not put out of the way.
        with file.open("wb") as lines:
            yield lines
        return
    # Addresses and hashes: for nobody else's eyes, also where a file of that name is open to them.
    # It appears whole or not at all.
    with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as draft:
        try:
            yield cast("BinaryIO", draft)
            draft.flush()
            Path(draft.name).replace(file)
        except BaseException:
            Path(draft.name).unlink()
            raise
