"""Checks of other services on the network, and of the addresses of Portico itself."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import select

from app.accounts.services.breached_ranges import RangeService
from app.cli.doctor.database import migrations
from app.cli.doctor.environment import SetUp
from app.cli.doctor.findings import Verdict, check, failed, not_checked, ok, warning
from app.cli.management import DEFAULT
from app.cli.ports import check_port
from app.errors import Misconfigured
from app.http.management import OFF, host_and_port
from app.keys.models import SigningKey
from app.mail.mailer import NotSent, mailer_of

HTTP_SECONDS = 5.0
JWKS = "/.well-known/jwks.json"
KEY_IDS = select(SigningKey.id)
NOT_LOOKED_UP = "While it does not answer, breached passwords are accepted."
METRIC_PREFIX = "portico_"


@check("mail")
async def mail(setup: SetUp) -> Verdict:
    """Connect to the mail server and sign in, without sending anything."""
    settings = setup.settings
    if settings.smtp_url is None:
        required = settings.email_verification == "required"
        verdict = failed if required else warning
        return verdict("SMTP_URL is not set: emails wait in the queue until it is.")
    try:
        mailer = mailer_of(settings.smtp_url.get_secret_value(), settings.mail_from)
        return ok(await mailer.check())
    except NotSent as problem:
        return failed(str(problem), "`portico mail test ADDRESS` sends an email.")


@check("public address", needs=migrations)
async def public_address(setup: SetUp) -> Verdict:
    """Whether clients find the keys of this database at PUBLIC_URL."""
    if "public_url" not in setup.given.model_fields_set:
        return not_checked("PUBLIC_URL is not set: it follows --host and --port.")
    address = setup.given.public_url + JWKS
    try:
        answer = await _get(address)
    except (httpx.HTTPError, TimeoutError) as error:
        return warning(
            f"{address} cannot be reached from here: {type(error).__name__}.",
            "Is a server running, and does this machine resolve its name?",
        )
    found = _key_ids(answer)
    if found is None:
        where = warning if answer.is_server_error else failed
        return where(
            f"{address} answers {answer.status_code} without keys.",
            "PUBLIC_URL must lead to Portico.",
        )
    ours = await setup.db.rows(KEY_IDS)
    if found.isdisjoint(row[0] for row in ours):
        return failed(
            f"{address} has none of the keys of this database.",
            "Does PUBLIC_URL lead to another Portico, or this one use another database?",
        )
    return ok(f"{address} has the keys of this database.")


def _key_ids(answer: httpx.Response) -> set[str] | None:
    """Returns the ids of the keys (RFC 7517); None if the answer is not a list of keys."""
    if answer.status_code != 200:
        return None
    try:
        keys: Any = answer.json()
        return {str(key["kid"]) for key in keys["keys"]}
    except (ValueError, KeyError, TypeError):
        return None


@check("breached passwords service")
async def breached_passwords_service(setup: SetUp) -> Verdict:
    url = setup.given.breached_passwords_url
    if url is None:
        return not_checked("BREACHED_PASSWORDS_URL is not set.")
    # Only the host of the URL is shown: the rest may be a key.
    host = urlsplit(url.get_secret_value()).hostname
    try:
        number = await RangeService(url.get_secret_value()).check()
    except httpx.HTTPStatusError as error:
        return warning(f"{host} answers {error.response.status_code}.", NOT_LOOKED_UP)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        return warning(f"{host} cannot be reached: {type(error).__name__}.", NOT_LOOKED_UP)
    return ok(f"{host} answers, with {number} hashes for one range.")


@check("management")
async def management(setup: SetUp) -> Verdict:
    """Whether metrics can be read, or their address is free."""
    address = setup.given.management_address or DEFAULT
    if address == OFF:
        return not_checked("MANAGEMENT_ADDRESS=off: there are no metrics.")
    try:
        check_port(*host_and_port(address))
    except Misconfigured as problem:
        if await _has_metrics(address):
            return ok(f"http://{address}/metrics answers.")
        return warning(str(problem), "Set MANAGEMENT_ADDRESS to another address for metrics.")
    return ok(f"{address} is free: no server on this machine uses it now.")


async def _has_metrics(address: str) -> bool:
    try:
        answer = await _get(f"http://{address}/metrics")
    except (httpx.HTTPError, TimeoutError):
        return False
    return answer.status_code == 200 and METRIC_PREFIX in answer.text


async def _get(address: str) -> httpx.Response:
    # The timeouts of the library are for each read, so a slow answer could take longer.
    async with asyncio.timeout(HTTP_SECONDS), httpx.AsyncClient() as http:
        return await http.get(address)
