"""`portico users show`, `suspend` and others: commands for one user, by address or id."""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import typer
from rich.markup import escape
from rich.table import Table

from app.accounts.services.last_administrator import LastAdministrator
from app.accounts.services.personal_data import PersonalData
from app.cli.console import fail, out
from app.cli.private_files import DASH, private_file
from app.cli.setup import database, started
from app.clock import system_clock
from app.composition import build
from app.container import Container
from app.database.keyset_pages import PageRequest
from app.database.page_size import MAX_PAGE_SIZE
from app.errors import BadInput
from app.modules import read_settings
from app.outcomes import InvalidInput, NotFound
from app.people.services.administration import Administration
from app.people.services.users import Overview, Users
from app.security.client import NO_CLIENT
from app.sessions.models import SessionRow
from app.sessions.services.sessions import Sessions
from app.settings import Settings
from app.text.date_times import read_date_time
from app.text.global_ids import global_id, read_id_of
from app.text.visible import one_line
from app.users.models import UserRow
from app.users.services.inputs import normalised_address
from app.users.services.viewer import Operator

OPERATOR = Operator()
NO_SUCH_USER = "No user has this address or id."
LAST_ADMINISTRATOR = (
    "This is the last administrator who can sign in. Create another one first:"
    " portico users create-admin."
)
NOT_CONFIRMED = "Nothing was deleted: pass --yes to delete the account without confirmation."
WRONG_ADDRESS = "This is not the address of the account. Nothing was deleted."


class Found(NamedTuple):
    """The services, and the user that a command names."""

    services: Container
    overview: Overview

    @property
    def user(self) -> UserRow:
        return self.overview.user


def show(user: str, *, as_json: bool) -> None:
    with database(read_settings()) as settings:
        asyncio.run(_show(settings, user, as_json=as_json))


def suspend(user: str, *, reason: str, until: str | None) -> None:
    end = _time(until) if until is not None else None
    with database(read_settings()) as settings:
        asyncio.run(_suspend(settings, user, reason, end))


def reinstate(user: str) -> None:
    with database(read_settings()) as settings:
        asyncio.run(_reinstate(settings, user))


def reset_factors(user: str, *, reason: str) -> None:
    with database(read_settings()) as settings:
        asyncio.run(_reset_factors(settings, user, reason))


def delete(user: str, *, yes: bool) -> None:
    with database(read_settings()) as settings:
        asyncio.run(_delete(settings, user, yes=yes))


def sessions(user: str, *, end: bool, as_json: bool) -> None:
    with database(read_settings()) as settings:
        asyncio.run(_sessions(settings, user, end=end, as_json=as_json))


def personal_data(user: str, file: Path) -> None:
    with database(read_settings()) as settings:
        asyncio.run(_write_personal_data(settings, user, file))


async def _show(settings: Settings, named: str, *, as_json: bool) -> None:
    async with _found(settings, named) as found:
        facts = _facts(found)
    if as_json:
        _print_json(facts)
    else:
        _print_facts(facts)


async def _suspend(settings: Settings, named: str, reason: str, end: datetime | None) -> None:
    async with _found(settings, named) as found:
        administration = found.services[Administration]
        _check(await administration.suspend(OPERATOR, found.user.id, reason, end, NO_CLIENT))
    until = f" until {_time_text(end)}" if end else ""
    out.print(f"{one_line(found.user.email)} is suspended{until}.", markup=False)


async def _reinstate(settings: Settings, named: str) -> None:
    async with _found(settings, named) as found:
        administration = found.services[Administration]
        _check(await administration.reinstate(OPERATOR, found.user.id, NO_CLIENT))
    out.print(f"{one_line(found.user.email)} is not suspended.", markup=False)


async def _reset_factors(settings: Settings, named: str, reason: str) -> None:
    async with _found(settings, named) as found:
        administration, user = found.services[Administration], found.user
        _check(await administration.reset_factors(OPERATOR, user.id, reason, NO_CLIENT))
    if found.overview.factors:
        message = "has no second factor any more, and is signed out."
    else:
        message = "has no second factor. Nothing was changed."
    out.print(f"{one_line(user.email)} {message}", markup=False)


async def _delete(settings: Settings, named: str, *, yes: bool) -> None:
    async with _found(settings, named) as found:
        if not yes:
            _confirm(found)
        administration = found.services[Administration]
        _check(await administration.delete(OPERATOR, found.user.id, NO_CLIENT))
    out.print(f"The account of {one_line(found.user.email)} is deleted.", markup=False)


async def _sessions(settings: Settings, named: str, *, end: bool, as_json: bool) -> None:
    async with _found(settings, named) as found:
        # A user has at most as many active sessions as a page has rows.
        request, user_id = PageRequest(MAX_PAGE_SIZE), found.user.id
        pages = await found.services[Sessions].pages([user_id], OPERATOR, request)
        rows = pages[user_id].rows
        if end:
            administration = found.services[Administration]
            _check(await administration.end_sessions(OPERATOR, found.user.id, NO_CLIENT))
    if as_json:
        _print_json([_session(row) for row in rows])
    else:
        _print_sessions(rows, ended=end)


async def _write_personal_data(settings: Settings, named: str, file: Path) -> None:
    async with _found(settings, named) as found:
        pieces = found.services[PersonalData].write(OPERATOR, found.user.id)
        with private_file(file) as written:
            async with aclosing(pieces):
                async for piece in pieces:
                    written.write(piece)
    if file != DASH:
        message = (
            f"The personal data of {one_line(found.user.email)} was written to {file}, which only "
            "you can read."
        )
        out.print(message, markup=False)


@asynccontextmanager
async def _found(settings: Settings, named: str) -> AsyncGenerator[Found]:
    wanted = named if "@" in named else _id(named)
    async with started(build(settings)) as portico:
        overview = await portico.services[Users].overview(OPERATOR, wanted)
        yield Found(portico.services, overview) if overview else fail(NO_SUCH_USER)


def _id(text: str) -> uuid.UUID:
    try:
        return read_id_of("User", text, "USER")
    except BadInput as problem:
        fail(problem.message)


def _time(text: str) -> datetime:
    try:
        return read_date_time(text)
    except BadInput:
        fail("--until takes a time with an offset (RFC 3339), such as 2027-01-31T12:00:00Z.")


def _check(outcome: object) -> None:
    """Fail with the reason if nothing was done."""
    match outcome:
        case NotFound():
            fail(NO_SUCH_USER)
        case LastAdministrator():
            fail(LAST_ADMINISTRATOR)
        case InvalidInput(issues):
            fail("\n".join(f"{'.'.join(issue.path)}: {issue.message}" for issue in issues))
        case _:
            return


def _confirm(found: Found) -> None:
    """Ask for the address, so that a command repeated from the shell history deletes no account."""
    if not sys.stdin.isatty():
        fail(NOT_CONFIRMED)
    _print_facts(_facts(found))
    typed = typer.prompt("Type the address to delete this account")
    if normalised_address(typed) != found.user.email:
        fail(WRONG_ADDRESS)


def _facts(found: Found) -> dict[str, Any]:
    user, now = found.user, system_clock()
    suspension = {"reason": user.suspension_reason, "until": _time_text(user.suspended_until)}
    return {
        "id": global_id("User", user.id),
        "subject": str(user.id),
        "externalId": user.external_id,
        "email": user.email,
        "emailVerified": user.email_verified,
        "displayName": user.display_name,
        "role": user.role,
        "suspension": None if user.is_active(now) else suspension,
        "createdAt": _time_text(user.created_at),
        "lastLoginAt": _time_text(user.last_login_at),
        "hasPassword": found.overview.has_password,
        "factors": found.overview.factors,
        "recoveryCodesLeft": found.overview.recovery_codes,
        "activeSessions": found.overview.active_sessions,
    }


def _session(row: SessionRow) -> dict[str, Any]:
    return {
        "id": global_id("Session", row.id),
        "createdAt": _time_text(row.created_at),
        "lastUsedAt": _time_text(row.last_used_at),
        "expiresAt": _time_text(row.lifetime.effective_expiry),
        "ipAddress": row.ip_address,
        "userAgent": row.user_agent,
    }


def _print_json(value: object) -> None:
    out.print(json.dumps(value, indent=2), markup=False)


def _print_facts(facts: dict[str, Any]) -> None:
    table = Table("", "", box=None, show_header=False)
    suspension = facts["suspension"]
    table.add_row("id", facts["id"])
    table.add_row("subject", facts["subject"])
    table.add_row("external id", _or_none(facts["externalId"]))
    verified = "verified" if facts["emailVerified"] else "not verified"
    table.add_row("email", escape(one_line(f"{facts['email']} ({verified})")))
    table.add_row("name", _or_none(facts["displayName"]))
    table.add_row("role", escape(one_line(facts["role"])))
    table.add_row("suspended", _suspended(suspension))
    table.add_row("created", facts["createdAt"])
    table.add_row("last sign-in", facts["lastLoginAt"] or "never")
    table.add_row("password", "yes" if facts["hasPassword"] else "none")
    table.add_row("second factors", str(facts["factors"]))
    table.add_row("recovery codes", str(facts["recoveryCodesLeft"]))
    table.add_row("active sessions", str(facts["activeSessions"]))
    out.print(table)


def _print_sessions(rows: Sequence[SessionRow], *, ended: bool) -> None:
    if rows:
        # Ids and ends are in the JSON only: there is no space for them beside the user agents.
        table = Table("started", "last used", "IP address", "user agent", box=None)
        for row in rows:
            times = (_time_text(row.created_at), _time_text(row.last_used_at))
            table.add_row(*times, _or_none(row.ip_address), _or_none(row.user_agent))
        out.print(table)
    if ended:
        out.print(f"{_count(len(rows))} ended.")
    else:
        out.print(f"{_count(len(rows), 'active ')}.")


def _count(number: int, kind: str = "") -> str:
    return f"1 {kind}session" if number == 1 else f"{number} {kind}sessions"


def _suspended(suspension: dict[str, str | None] | None) -> str:
    if suspension is None:
        return "no"
    until, reason = suspension["until"] or "reinstated", suspension["reason"] or ""
    return escape(f"until {until}: {one_line(reason)}")


def _or_none(text: str | None) -> str:
    return "none" if text is None else escape(one_line(text))


def _time_text(moment: datetime | None) -> str | None:
    return moment and moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
