"""`portico users`: making an administrator, and people in and out of files."""

import asyncio
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from app.commands.setup import database, fail, out, read_settings, started
from app.config import Settings
from app.portico import Portico, build
from app.services.user_files import Fault, Taken

SHOWN_FAULTS = 100


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
    file: Annotated[Path, typer.Argument(help="One JSON object a line.", exists=True)],
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
    size = os.fstat(file.fileno()).st_size
    async with started(build(settings)) as portico:
        with _progress() as progress:
            number = _check(portico, file, progress, size)
        if dry_run:
            out.print(f"Nothing was changed. {number} lines would fail.")
            return
        if number and not skip_invalid:
            fail(f"{number} lines are at fault. Nothing was changed: see --skip-invalid.")
        file.seek(0)
        taken = Taken(0, 0, 0)
        with _progress() as progress:
            task = progress.add_task("Adding  ", total=size)
            async for taken in portico.user_files.take(file):
                progress.update(task, completed=taken.bytes_read)
    already = taken.lines - taken.added - number
    out.print(f"{taken.lines} lines: {taken.added} people added, {already} were there already.")


def _check(portico: Portico, lines: BinaryIO, progress: Progress, size: int) -> int:
    """Say what is wrong with which line, and how many there are of them."""
    task, number = progress.add_task("Checking", total=size), 0
    for found in portico.user_files.faults(lines):
        if isinstance(found, Fault):
            number += 1
            if number <= SHOWN_FAULTS:
                progress.console.print(f"line {found.line}: {found.message}", markup=False)
        else:
            progress.update(task, completed=found)
    if number > SHOWN_FAULTS:
        progress.console.print(f"… and {number - SHOWN_FAULTS} more")
    progress.update(task, completed=size)
    return number


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    return Progress(
        *columns,
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=out,
        disable=not out.is_terminal,
    )


async def _export(settings: Settings, file: Path, *, with_hashes: bool) -> None:
    async with started(build(settings)) as portico:
        number = 0
        with _opened(file) as lines:
            async for line in portico.user_files.give(with_hashes=with_hashes):
                lines.write(line + b"\n")
                number += 1
    if str(file) != "-":
        out.print(f"{number} people written to {file}, which only you can read.")


def _opened(file: Path) -> AbstractContextManager[BinaryIO]:
    if str(file) == "-":
        return nullcontext(sys.stdout.buffer)
    # Addresses and hashes: for nobody else's eyes.
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
