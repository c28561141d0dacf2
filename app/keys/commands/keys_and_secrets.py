"""`portico keys`: shows and rotates signing keys, shows secrets, and declares a leak of one."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import typer
from rich.markup import escape
from rich.table import Table

from app.cli.console import fail, out
from app.cli.setup import checked, database, started
from app.composition import Portico, build
from app.database.database import Database
from app.keys.services.fleet_secrets import FleetSecrets, KnownSecret
from app.keys.services.signing_keys import ListedKey, SigningKeys
from app.modules import read_settings
from app.security.keys import KeyPair
from app.sessions.services.compromise import AlreadyDeclared, Compromise, CompromiseDeclared
from app.settings import Settings
from app.text.visible import one_line

MINUTE = "%Y-%m-%d %H:%M"
SECOND = "%Y-%m-%d %H:%M:%S"
CONFIRM = (
    "This ends every session, every link in an email and every waiting job, removes all second "
    "factors and recovery codes, and the secrets that servers have now are no longer accepted. Is "
    "the SECRET_KEY given here the new one?"
)
NOT_CONFIRMED = "This ends every session. Use --yes, or run it on a terminal and confirm it there."


def show() -> None:
    with database(read_settings()) as settings:
        asyncio.run(_show(settings))


def rotate(*, at_once: bool) -> None:
    with database(read_settings()) as settings:
        pair = asyncio.run(_rotate(settings, at_once=at_once))
    if at_once:
        out.print(
            f"Key {pair.id} signs from now on, on every server within a minute. Services that "
            "cached the JWKS may refuse its tokens for 5 minutes."
        )
        return
    out.print(
        f"Key {pair.id} is published and signs from {_time(pair.signs_from)} UTC, when every "
        "cached JWKS has it. Tokens of the former key stay valid."
    )


def compromised(*, yes: bool) -> None:
    # One statement ends all sessions, however long it takes.
    given = read_settings().model_copy(update={"database_timeout_seconds": None})
    with database(given) as settings:
        found = asyncio.run(_compromised(settings, confirmed=yes))
    if isinstance(found, AlreadyDeclared):
        out.print(
            f"The leak was declared on {_time(found.at)} UTC with this SECRET_KEY. "
            "Nothing was changed."
        )
        return
    _show_declared(found)


async def _show(settings: Settings) -> None:
    async with checked(build(settings)) as portico:
        _show_keys(await portico.services[SigningKeys].listed())
        async with portico.services[Database].begin() as session:
            known = await portico.services[FleetSecrets].known(session)
            state = await portico.services[FleetSecrets].read(session)
        _show_secrets(portico, known)
        problem = state.explanation
    if problem:
        out.print(f"[yellow]Warning[/yellow]   {escape(problem)}")


def _show_keys(found: Sequence[ListedKey]) -> None:
    if not found:
        out.print("There is no key yet: the first server that starts creates one.")
        return
    table = Table("key", "created", "signs from", "state", "opened", box=None)
    for each in found:
        opened = "yes" if each.is_opened else "no"
        created, signs_from = _minute(each.created_at), _minute(each.signs_from)
        table.add_row(escape(one_line(each.id)), created, signs_from, each.state, opened)
    out.print(table)


def _show_secrets(portico: Portico, known: Sequence[KnownSecret]) -> None:
    if not known:
        return
    table = Table("secret", "last announced", "by", "state", "given", box=None)
    now = datetime.now(UTC)
    for each in known:
        given = "yes" if portico.services[FleetSecrets].has(each.fingerprint) else "no"
        state = _state(each, now)
        host = escape(one_line(each.last_seen_on))
        table.add_row(each.name, _minute(each.last_seen_at), host, state, given)
    out.print(table)


def _state(secret: KnownSecret, now: datetime) -> str:
    if secret.revoked_at:
        return "compromised"
    if secret.seals(now):
        return "seals"
    return "opens" if secret.is_active(now) else "gone"


async def _rotate(settings: Settings, *, at_once: bool) -> KeyPair:
    async with started(build(settings)) as portico:
        return await portico.services[SigningKeys].rotate(now=at_once)


async def _compromised(
    settings: Settings, *, confirmed: bool
) -> CompromiseDeclared | AlreadyDeclared:
    async with checked(build(settings)) as portico:
        last = await portico.services[Compromise].check()
        if isinstance(last, AlreadyDeclared):
            return last
        if not confirmed:
            _confirm()
        return await portico.services[Compromise].declare(last)


def _confirm() -> None:
    if not sys.stdin.isatty():
        fail(NOT_CONFIRMED)
    typer.confirm(CONFIRM, abort=True)


def _show_declared(done: CompromiseDeclared) -> None:
    out.print(
        f"{done.keys} signing keys, {done.sessions} sessions and {done.links} links were ended, "
        f"{done.factors} second factors were removed, {done.jobs} jobs have failed. "
        f"Key {done.key_id} signs from now on."
    )
    if done.factors:
        out.print(
            "Tell their users to enroll again: no email was sent to them, and until then their "
            "passwords alone sign them in."
        )
    if done.former.number:
        out.print(
            f"Full verification of the audit up to checkpoint {done.former.number} needs the "
            f"former SECRET_KEY. The hash of that checkpoint is {done.former.hash.hex()}: keep "
            "it elsewhere."
        )
    out.print(
        "Start every server and worker with the new SECRET_KEY alone. Those with another one stop "
        "within a minute. Never put the former one back."
    )


def _time(moment: datetime) -> str:
    return moment.strftime(SECOND)


def _minute(moment: datetime) -> str:
    return moment.strftime(MINUTE)
