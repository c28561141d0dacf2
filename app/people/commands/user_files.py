"""`portico users`: making an administrator, and people in and out of files."""

import asyncio
import sys
from collections.abc import Generator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple

import typer

from app.cli.private_files import DASH, private_file
from app.cli.progress import Meter
from app.cli.setup import database, fail, out, started
from app.composition import build
from app.modules import read_settings
from app.people.services.administrator_accounts import AdministratorAccounts
from app.people.services.user_files import Import, Invalid, Place, UserFiles, WithoutPassword
from app.people.services.user_formats.fields import decoded
from app.people.services.user_formats.firebase import HashParameters
from app.people.services.user_formats.formats import Format, Records, formats, records_of
from app.people.services.user_formats.origins import Origin
from app.people.services.user_formats.records import UnreadableFile
from app.settings import Settings
from app.text.visible import one_line

SHOWN = 100
FIREBASE_HASHES = (
    "Hashes of Firebase are verified with the parameters of the project: name"
    " --firebase-signer-key, or take people without their passwords: --drop-unreadable-hashes."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to import."""

    format: Format
    dry_run: bool
    skip_invalid: bool
    drop_unreadable_hashes: bool


class Opened(NamedTuple):
    """What to read, and how many bytes there are if that is known."""

    file: BinaryIO
    size: int | None


class Telling:
    """Says what was found in which record, up to `shown` times, and counts it."""

    def __init__(self, unit: str, shown: int | None) -> None:
        self.unit = unit
        self.number = 0
        self._without_password = 0
        self._shown = shown

    @property
    def invalid(self) -> str:
        return _count(self.number, self.unit)

    @property
    def bare(self) -> str:
        """A sentence about those who come without their passwords, if there are any."""
        number = self._without_password
        return f" {_count(number, 'person', 'people')} without a password." if number else ""

    def tell(self, found: Invalid | WithoutPassword) -> None:
        message = found.message
        if isinstance(found, Invalid):
            self.number += 1
        else:
            self._without_password += 1
            message += " Without a password."
        if self._shown is None or self._told <= self._shown:
            out.print(f"{self.unit} {found.number}: {one_line(message)}", markup=False)

    def end(self) -> None:
        """Say how much was not said."""
        if self._shown is not None and self._told > self._shown:
            out.print(f"… and {self._told - self._shown} more: --dry-run names them all.")

    @property
    def _told(self) -> int:
        return self.number + self._without_password


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


def import_users(  # noqa: PLR0913 - each is an option of the command
    file: Annotated[Path, typer.Argument(help="What to read; - is standard input.")],
    *,
    origin: Annotated[
        Origin, typer.Option("--from", help="The system that has written it.")
    ] = Origin.PORTICO,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what is invalid: exit code 1.")
    ] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave out what is invalid.")
    ] = False,
    drop_unreadable_hashes: Annotated[
        bool,
        typer.Option(
            "--drop-unreadable-hashes",
            help="Take people without a password that cannot be verified here; they reset it.",
        ),
    ] = False,
    firebase_signer_key: Annotated[
        str | None,
        typer.Option(
            envvar="FIREBASE_SIGNER_KEY", help="Of the project, in base64: `base64_signer_key`."
        ),
    ] = None,
    firebase_salt_separator: Annotated[
        str, typer.Option(help="Of the project, in base64: `base64_salt_separator`.")
    ] = "Bw==",
    firebase_rounds: Annotated[int, typer.Option(min=1, help="Of the project: `rounds`.")] = 8,
    firebase_mem_cost: Annotated[int, typer.Option(min=1, help="Of the project: `mem_cost`.")] = 14,
) -> None:
    """Take people over. Done twice it changes nothing; interrupted, it goes on."""
    hashes = firebase_signer_key and HashParameters(
        _base64(firebase_signer_key, "--firebase-signer-key"),
        _base64(firebase_salt_separator, "--firebase-salt-separator"),
        firebase_rounds,
        firebase_mem_cost,
    )
    if origin is Origin.FIREBASE and not hashes and not drop_unreadable_hashes:
        fail(FIREBASE_HASHES)
    wanted = Wanted(formats(hashes or None)[origin], dry_run, skip_invalid, drop_unreadable_hashes)
    with database(read_settings()) as settings, _read_from(file) as opened:
        asyncio.run(_import(settings, opened, wanted))


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


async def _import(settings: Settings, opened: Opened, wanted: Wanted) -> None:
    records = records_of(opened.file, wanted.format)
    async with (
        started(build(settings)) as portico,
        portico.services[UserFiles].incoming() as incoming,
    ):
        telling = Telling(records.unit, None if wanted.dry_run else SHOWN)
        try:
            people = await _read(incoming, records, opened.size, wanted, telling)
        except UnreadableFile as problem:
            fail(f"{problem} Nothing was changed.")
        missing = await incoming.missing()
        if wanted.dry_run:
            out.print(f"{missing} people would be added, {people - missing} are there already.")
            out.print(f"Nothing was changed. {telling.invalid} would fail.{telling.bare}")
            raise typer.Exit(1 if telling.number and not wanted.skip_invalid else 0)
        if telling.number and not wanted.skip_invalid:
            fail(f"Invalid: {telling.invalid}. Nothing was changed: see --skip-invalid.")
        added = await _add(incoming, missing)
        people -= await _conflicts(incoming, telling)
    out.print(
        f"{added} people added, {people - added} were there already, {telling.invalid} left out."
        f"{telling.bare}"
    )


async def _read(
    incoming: Import, records: Records, size: int | None, wanted: Wanted, telling: Telling
) -> int:
    """Say what is wrong with which record; give how many people there are."""
    place = Place(0, 0)
    reading = incoming.read(
        records, wanted.format, drop_unreadable_hashes=wanted.drop_unreadable_hashes
    )
    with Meter(out, "Reading", size) as meter:
        async with aclosing(reading):
            async for found in reading:
                if isinstance(found, Place):
                    place = found
                    meter.at(found.bytes)
                else:
                    telling.tell(found)
    people = place.people - await _conflicts(incoming, telling)
    telling.end()
    return people


async def _conflicts(incoming: Import, telling: Telling) -> int:
    number = 0
    # Whoever reads what is told may go away: what it is read from ends first, and then the rest.
    async with aclosing(incoming.conflicts(telling.unit)) as conflicts:
        async for found in conflicts:
            telling.tell(found)
            number += 1
    return number


async def _add(incoming: Import, missing: int) -> int:
    done = added = 0
    with Meter(out, "Adding", missing) as meter:
        async with aclosing(incoming.add()) as steps:
            async for step in steps:
                done, added = done + step.people, added + step.added
                meter.at(done)
    return added


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"1 {one}" if number == 1 else f"{number} {many or one + 's'}"


@contextmanager
def _read_from(file: Path) -> Generator[Opened]:
    """Open a file or a pipe; neither is read twice, nor from another place than its front."""
    if file == DASH:
        yield Opened(sys.stdin.buffer, None)
        return
    try:
        opened = file.open("rb")
    except OSError as problem:
        fail(f"{file}: {problem.strerror}.")
    with opened:
        yield Opened(opened, file.stat().st_size if file.is_file() else None)


async def _export(settings: Settings, file: Path, *, with_hashes: bool) -> None:
    async with started(build(settings)) as portico:
        number = 0
        everybody = portico.services[UserFiles].give(with_hashes=with_hashes)
        with private_file(file) as lines:
            async with aclosing(everybody):
                async for line in everybody:
                    lines.write(line + b"\n")
                    number += 1
    if file != DASH:
        out.print(f"{number} people written to {file}, which only you can read.")
