"""Checks of the keys that sign tokens, and of the clocks that tokens are judged by."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from app.commands.doctor.database import database, migrations
from app.commands.doctor.findings import Verdict, check, failed, ok, warning
from app.commands.doctor.set_up import SetUp
from app.commands.sizes import in_largest_unit
from app.models import SigningKey
from app.security.keys import Secrets
from app.services.fleet_secrets import FleetSecrets, SecretsState
from app.services.signing_keys import NONE_OPENS

KEYS = select(SigningKey.id, SigningKey.sealed_private_key, SigningKey.signs_from)
# A successor is published a day before it signs.
SLACK = timedelta(days=1)
NOW = text("SELECT clock_timestamp()")
# Tokens of one server must not begin in the future of another one.
APART = timedelta(seconds=2)
FAR_APART = timedelta(seconds=30)
# This code is not older.
EARLIEST = datetime(2026, 11, 1, tzinfo=UTC)


@check("signing keys", needs=migrations)
async def signing_keys(setup: SetUp) -> Verdict:
    """Whether SECRET_KEY is that of the servers, and opens the key that signs now."""
    secret = setup.settings.secret_key
    if secret is None:
        return failed("SECRET_KEY is not set.", "Set it, or SECRET_KEY_FILE.")
    secrets = Secrets(secret.get_secret_value())
    state = await _state(setup, secrets)
    if state.revoked or state.lacking_sealing:
        return failed(state.explanation or "")
    rows = await setup.db.rows(KEYS)
    now = setup.clock()
    signing = max((row for row in rows if row.signs_from <= now), key=_signs_from, default=None)
    if signing is None:
        return warning("No key signs yet.", "The first server that starts makes one.")
    if secrets.open(signing.sealed_private_key) is None:
        return failed(NONE_OPENS)
    age = now - signing.signs_from
    text = f"SECRET_KEY opens the one that signs, which is {in_largest_unit(age)} old."
    if age > timedelta(days=setup.given.signing_key_rotate_days) + SLACK:
        return warning(text, "A running server replaces it: does any run?")
    return warning(state.explanation) if state.explanation else ok(text)


def _signs_from(row: Any) -> datetime:
    return row.signs_from


async def _state(setup: SetUp, secrets: Secrets) -> SecretsState:
    fleet = FleetSecrets(setup.db, secrets, setup.clock)
    async with setup.db.begin() as session:
        return await fleet.read(session)


@check("clock", needs=database)
async def clock(setup: SetUp) -> Verdict:
    before = setup.clock()
    [(theirs,)] = await setup.db.rows(NOW)
    return compared(before, theirs, setup.clock())


def compared(before: datetime, theirs: datetime, after: datetime) -> Verdict:
    """Judge a clock by the time of another machine, that was read between the two moments."""
    if after < EARLIEST:
        return failed(f"This machine has {after:%Y-%m-%d}, which is over.", "Set its clock.")
    # Whatever lies between the two agrees.
    apart = max(before - theirs, theirs - after, timedelta(0))
    which = "ahead of" if before > theirs else "behind"
    if apart > APART:
        text = f"This machine is {in_largest_unit(apart)} {which} the database."
        hint = "Let NTP set both clocks."
        return failed(text, hint) if apart > FAR_APART else warning(text, hint)
    return ok("This machine and the database have the same time.")
