"""Checks of the domain of passkeys, and of the pages that may use them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

from app.cli.doctor.database import migrations
from app.cli.doctor.environment import SetUp
from app.cli.doctor.findings import Verdict, check, failed, ok, warning
from app.factors.services.registered_domains import RegisteredDomains
from app.factors.services.relying_party import relying_party
from app.security.relying_party import RelyingParty

HTTP_SECONDS = 5.0
# WebAuthn Level 3, 5.11.
FILE = "/.well-known/webauthn"
UNUSABLE_HINT = (
    "Set PUBLIC_URL, and FRONTEND_URL if there is one, to https:// addresses with a domain, or "
    "WEBAUTHN_RP_ID and WEBAUTHN_ORIGINS."
)
UNLISTED_HINT = (
    "Let the proxy of {domain} pass " + FILE + " on to Portico, which serves it; or set "
    "WEBAUTHN_RP_ID, before the first passkey, to a domain above all of these pages; or name only "
    "those of {domain} in WEBAUTHN_ORIGINS."
)


@check("passkeys", needs=migrations)
async def passkeys(setup: SetUp) -> Verdict:
    """Whether browsers accept the domain and the pages, and no passkey is for another domain."""
    settings = setup.settings
    party = relying_party(settings, settings, settings)
    domains = RegisteredDomains(setup.db, party, setup.clock)
    other = await domains.other()
    if other is not None:
        return failed(
            f"Passkeys are registered for {other}, and the domain is {party.id}: servers do not "
            "start.",
            f"Set WEBAUTHN_RP_ID={other}, or run `portico passkeys remove --rp-id {other}`.",
        )
    if not party.is_usable:
        return warning(
            f"Browsers accept no passkeys for {_described(party)}: they need a page of the domain "
            "with https.",
            UNUSABLE_HINT,
        )
    if party.unrelated_origins:
        return await _verdict_of_unrelated(party)
    return ok(f"They are for {_described(party)}.")


def _described(party: RelyingParty) -> str:
    return f"{party.id}, on {', '.join(party.origins)}"


async def _verdict_of_unrelated(party: RelyingParty) -> Verdict:
    address, hint = f"https://{party.id}{FILE}", UNLISTED_HINT.format(domain=party.id)
    try:
        answer = await _fetch(address)
    except (httpx.HTTPError, TimeoutError) as error:
        return warning(
            f"{', '.join(party.unrelated_origins)} must be named by {address}, which cannot be "
            f"reached from here: {type(error).__name__}.",
            hint,
        )
    unlisted = unlisted_in(answer, party.unrelated_origins)
    if unlisted:
        return warning(
            f"{address} does not name {', '.join(unlisted)}: browsers accept no passkeys there.",
            hint,
        )
    return ok(f"They are for {_described(party)}, which {address} names.")


def unlisted_in(answer: httpx.Response, origins: Sequence[str]) -> list[str]:
    """Returns which of the origins the file does not name, as browsers read it."""
    try:
        content: Any = answer.json()
        listed = {str(each).removesuffix("/") for each in content["origins"]}
    except (ValueError, KeyError, TypeError):
        listed = set[str]()
    is_json = answer.headers.get("content-type", "").partition(";")[0] == "application/json"
    is_read = is_json and answer.status_code == 200
    return [each for each in origins if not is_read or each not in listed]


async def _fetch(address: str) -> httpx.Response:
    # As browsers do, which follow redirects. The timeouts of the library are for each read.
    async with (
        asyncio.timeout(HTTP_SECONDS),
        httpx.AsyncClient(follow_redirects=True) as http,
    ):
        return await http.get(address)
