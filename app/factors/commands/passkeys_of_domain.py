"""`portico passkeys remove`: removes the passkeys of a domain that is no longer used."""

import asyncio
import sys

import typer

from app.cli.console import fail, out
from app.cli.setup import checked, database
from app.composition import build
from app.factors.services.registered_domains import OwnDomain, PasskeysOfDomain, RegisteredDomains
from app.modules import read_settings
from app.settings import Settings
from app.text.visible import one_line
from app.users.services.viewer import Operator

OWN_DOMAIN = (
    "{domain} is the domain of this server (WEBAUTHN_RP_ID), whose passkeys are in use. Nothing "
    "was removed."
)
NONE_FOUND = "No passkeys are registered for {domain}. Nothing was removed."
NOT_CONFIRMED = "Nothing was removed: pass --yes to remove {passkeys} passkeys of {users} users."
CONFIRM = (
    "This removes {passkeys} passkeys of {users} users for good, and the recovery codes of those "
    "who have no other second factor. Continue?"
)
REMOVED = (
    "{passkeys} passkeys for {domain} of {users} users were removed. Tell them: no email was sent, "
    "and the password alone signs in whoever has no other second factor."
)
WITHOUT_OTHER_WAY_IN = (
    "{number} of them have no password, and no passkey that signs in alone for {ours}: they can "
    "only come back by resetting the password by email."
)


def remove(*, rp_id: str, yes: bool) -> None:
    # One statement removes all of them, however long it takes.
    given = read_settings().model_copy(update={"database_timeout_seconds": None})
    with database(given) as settings:
        asyncio.run(_remove(settings, rp_id, confirmed=yes))


async def _remove(settings: Settings, rp_id: str, *, confirmed: bool) -> None:
    """Without the checks of a start: a server does not start with these passkeys."""
    async with checked(build(settings)) as portico:
        domains = portico.services[RegisteredDomains]
        found = _some(await domains.count(rp_id), rp_id)
        _show_without_other_way_in(found, domains.party.id)
        if not confirmed:
            _confirm(found)
        removed = _some(await domains.remove(rp_id, Operator()), rp_id)
    numbers = {"passkeys": removed.passkeys, "users": removed.users}
    out.print(REMOVED.format(domain=one_line(rp_id), **numbers), markup=False)


def _some(found: PasskeysOfDomain | OwnDomain, rp_id: str) -> PasskeysOfDomain:
    domain = one_line(rp_id)
    if isinstance(found, OwnDomain):
        fail(OWN_DOMAIN.format(domain=domain))
    if not found.passkeys:
        fail(NONE_FOUND.format(domain=domain))
    return found


def _show_without_other_way_in(found: PasskeysOfDomain, ours: str) -> None:
    """Say it before the question, since it cannot be undone."""
    number = found.without_other_way_in
    if number:
        out.print(WITHOUT_OTHER_WAY_IN.format(number=number, ours=ours), markup=False)


def _confirm(found: PasskeysOfDomain) -> None:
    numbers = {"passkeys": found.passkeys, "users": found.users}
    if not sys.stdin.isatty():
        fail(NOT_CONFIRMED.format(**numbers))
    typer.confirm(CONFIRM.format(**numbers), abort=True)
