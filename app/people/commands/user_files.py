"""`portico users create-admin`, `import` and `export`."""

import asyncio
import sys
from collections.abc import Generator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import typer

from app.cli.console import fail, out
from app.cli.private_files import DASH, private_file
from app.cli.progress import Meter
from app.cli.setup import database, started
from app.composition import build
from app.modules import read_settings
from app.people.services.administrator_accounts import AdministratorAccounts
from app.people.services.user_files import Import, Invalid, Place, UserFiles, WithoutPassword
from app.people.services.user_formats.fields import decoded
from app.people.services.user_formats.firebase import HashParameters
from app.people.services.user_formats.formats import Format, Records, formats, records_of
from app.people.services.user_formats.records import UnreadableFile
from app.people.services.user_formats.systems import Origin
from app.settings import Settings
from app.text.visible import one_line

MAX_SHOWN = 100
FIREBASE_HASHES = (
    "Password hashes of Firebase need the parameters of the project to be verified: pass"
    " --firebase-signer-key, or import users without passwords: --drop-unreadable-hashes."
)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """The options of an import."""

    format: Format
    dry_run: bool
    skip_invalid: bool
    drop_unreadable_hashes: bool


class InputFile(NamedTuple):
    """The file to read, and its size in bytes if that is known."""

    file: BinaryIO
    size: int | None


class ImportReport:
    """Counts invalid records and users without a password, and prints up to `limit` of them."""

    def __init__(self, unit: str, limit: int | None) -> None:
        self.unit = unit
        self.number_invalid = 0
        self._number_without_password = 0
        self._limit = limit

    @property
    def invalid(self) -> str:
        return _count(self.number_invalid, self.unit)

    @property
    def without_password(self) -> str:
        """A sentence about users who are imported without a password, if there are any."""
        number = self._number_without_password
        return f" {_count(number, 'user')} without a password." if number else ""

    def add(self, found: Invalid | WithoutPassword) -> None:
        message = found.message
        if isinstance(found, Invalid):
            self.number_invalid += 1
        else:
            self._number_without_password += 1
            message += " Without a password."
        if self._limit is None or self._total <= self._limit:
            out.print(f"{self.unit} {found.number}: {one_line(message)}", markup=False)

    def end(self) -> None:
        """Print how many were not printed."""
        if self._limit is not None and self._total > self._limit:
            out.print(f"… and {self._total - self._limit} more: --dry-run shows them all.")

    @property
    def _total(self) -> int:
        return self.number_invalid + self._number_without_password


def create_admin(email: str, *, promote: bool) -> None:
    password = None if promote else _password()
    with database(read_settings()) as settings:
        asyncio.run(_create_admin(settings, email, password))
    out.print(f"{email} is an administrator.")


def import_users(  # noqa: PLR0913 - each is an option of the command
    file: Path,
    *,
    origin: Origin,
    dry_run: bool,
    skip_invalid: bool,
    drop_unreadable_hashes: bool,
    firebase_signer_key: str | None,
    firebase_salt_separator: str,
    firebase_rounds: int,
    firebase_mem_cost: int,
) -> None:
    hashes = firebase_signer_key and HashParameters(
        _base64(firebase_signer_key, "--firebase-signer-key"),
        _base64(firebase_salt_separator, "--firebase-salt-separator"),
        firebase_rounds,
        firebase_mem_cost,
    )
    if origin is Origin.FIREBASE and not hashes and not drop_unreadable_hashes:
        fail(FIREBASE_HASHES)
    options = ImportOptions(
        formats(hashes or None)[origin], dry_run, skip_invalid, drop_unreadable_hashes
    )
    with database(read_settings()) as settings, _read_from(file) as opened:
        asyncio.run(_import(settings, opened, options))


def export_users(file: Path, *, with_password_hashes: bool) -> None:
    with database(read_settings()) as settings:
        asyncio.run(_export(settings, file, with_hashes=with_password_hashes))


def _password() -> str:
    if sys.stdin.isatty():
        return typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return sys.stdin.readline().rstrip("\r\n")


async def _create_admin(settings: Settings, email: str, password: str | None) -> None:
    async with started(build(settings)) as portico:
        administrators = portico.services[AdministratorAccounts]
        if password is None:
            problem = await administrators.promote(email)
        else:
            problem = await administrators.create(email, password)
        if problem:
            fail(problem)


def _base64(text: str, option: str) -> bytes:
    read = decoded(text)
    if not read:
        fail(f"{option} is not base64.")
    return read


async def _import(settings: Settings, opened: InputFile, options: ImportOptions) -> None:
    records = records_of(opened.file, options.format)
    async with (
        started(build(settings)) as portico,
        portico.services[UserFiles].start_import() as incoming,
    ):
        report = ImportReport(records.unit, None if options.dry_run else MAX_SHOWN)
        try:
            users = await _read(incoming, records, opened.size, options, report)
        except UnreadableFile as problem:
            fail(f"{problem} Nothing was changed.")
        missing = await incoming.missing()
        if options.dry_run:
            out.print(f"{_count(missing, 'user')} would be added, {users - missing} exist already.")
            out.print(f"Nothing was changed. {report.invalid} would fail.{report.without_password}")
            raise typer.Exit(1 if report.number_invalid and not options.skip_invalid else 0)
        if report.number_invalid and not options.skip_invalid:
            fail(f"Invalid: {report.invalid}. Nothing was changed: see --skip-invalid.")
        added = await _add(incoming, missing)
        users -= await _conflicts(incoming, report)
    out.print(
        f"{_count(added, 'user')} added, {users - added} existed already, {report.invalid} skipped."
        f"{report.without_password}"
    )


async def _read(
    incoming: Import,
    records: Records,
    size: int | None,
    options: ImportOptions,
    report: ImportReport,
) -> int:
    """Report invalid records; returns how many users the others are."""
    place = Place(0, 0)
    reading = incoming.read(
        records, options.format, drop_unreadable_hashes=options.drop_unreadable_hashes
    )
    with Meter(out, "Reading", size) as meter:
        async with aclosing(reading):
            async for found in reading:
                if isinstance(found, Place):
                    place = found
                    meter.at(found.bytes)
                else:
                    report.add(found)
    users = place.users - await _conflicts(incoming, report)
    report.end()
    return users


async def _conflicts(incoming: Import, report: ImportReport) -> int:
    number = 0
    # The reader of the output may close the pipe: then the generator is closed first.
    async with aclosing(incoming.conflicts(report.unit)) as conflicts:
        async for found in conflicts:
            report.add(found)
            number += 1
    return number


async def _add(incoming: Import, missing: int) -> int:
    done = added = 0
    with Meter(out, "Adding", missing) as meter:
        async with aclosing(incoming.add()) as steps:
            async for step in steps:
                done, added = done + step.users, added + step.added
                meter.at(done)
    return added


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


@contextmanager
def _read_from(file: Path) -> Generator[InputFile]:
    """Open a file or a pipe. It is read once, from its start."""
    if file == DASH:
        yield InputFile(sys.stdin.buffer, None)
        return
    try:
        opened = file.open("rb")
    except OSError as problem:
        fail(f"{file}: {problem.strerror}.")
    with opened:
        yield InputFile(opened, file.stat().st_size if file.is_file() else None)


async def _export(settings: Settings, file: Path, *, with_hashes: bool) -> None:
    async with started(build(settings)) as portico:
        number = 0
        lines = portico.services[UserFiles].export(with_hashes=with_hashes)
        with private_file(file) as written:
            async with aclosing(lines):
                async for line in lines:
                    written.write(line + b"\n")
                    number += 1
    if file != DASH:
        out.print(f"{_count(number, 'user')} written to {file}, which only you can read.")
