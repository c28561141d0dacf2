"""Checks of what SECRET_KEY opens, and of the clocks that the validity of tokens depends on."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text

from app.cli.doctor.database import database, migrations
from app.cli.doctor.environment import SetUp
from app.cli.doctor.findings import Verdict, check, failed, not_checked, ok, warning
from app.cli.sizes import in_largest_unit
from app.factors.services.factor_secrets import FactorSecrets
from app.factors.services.resealing import Resealing
from app.keys.models import SigningKey
from app.keys.services.fleet_secrets import FleetSecrets, SecretsState
from app.keys.services.key_validation import ValidKey, validated
from app.keys.services.signing_keys import KEYS_NOT_OPENED
from app.security.keys import Secrets

INVALID_HINT = (
    "They were written to the database by another program: find out which, and delete the rows."
)
NOT_CHECKED_HINT = "Delete the rows of keys that none of your servers has created."
RESEALED_HINT = (
    "Add the secret that sealed them to SECRET_KEY, after a comma: within 5 minutes servers seal "
    "them again."
)
# A successor is published a day before it signs.
SLACK = timedelta(days=1)
NOW = text("SELECT clock_timestamp()")
# Otherwise tokens of one server are not valid yet on another one.
APART = timedelta(seconds=2)
FAR_APART = timedelta(seconds=30)
# The code is not older than this.
EARLIEST = datetime(2026, 11, 1, tzinfo=UTC)


@check("signing keys", needs=migrations)
async def signing_keys(setup: SetUp) -> Verdict:
    """Whether SECRET_KEY is the one of the servers, and opens the current signing key."""
    secret = setup.settings.secret_key
    if secret is None:
        return failed("SECRET_KEY is not set.", "Set it, or SECRET_KEY_FILE.")
    secrets = Secrets(secret.get_secret_value())
    state = await _state(setup, secrets)
    if state.revoked or state.missing_sealing:
        return failed(state.explanation or "")
    return _verdict(setup, await _found(setup, secrets, state), state)


def _verdict(setup: SetUp, found: Mapping[str, ValidKey | None], state: SecretsState) -> Verdict:
    valid = [each for each in found.values() if each is not None]
    now = setup.clock()
    ready = [each for each in valid if each.public.signs_from <= now]
    signing = max(ready, key=_signs_from, default=None)
    if found and not valid:
        return failed(KEYS_NOT_OPENED)
    if signing is None:
        return warning("No key signs yet.", "The first server that starts creates one.")
    if signing.pair is None:
        return failed(KEYS_NOT_OPENED)
    if invalid := [key_id for key_id, each in found.items() if each is None]:
        return failed(f"Signing keys are invalid: {', '.join(invalid)}.", INVALID_HINT)
    return _verdict_of_valid(setup, now - signing.public.signs_from, valid, state)


def _verdict_of_valid(
    setup: SetUp, age: timedelta, valid: Sequence[ValidKey], state: SecretsState
) -> Verdict:
    text = f"SECRET_KEY opens the current signing key, which is {in_largest_unit(age)} old."
    if age > timedelta(days=setup.given.signing_key_rotate_days) + SLACK:
        return warning(text, "A running server replaces it: is one running?")
    if state.explanation:
        return warning(state.explanation)
    if unchecked := [each.public.id for each in valid if each.pair is None]:
        named = ", ".join(unchecked)
        return warning(f"SECRET_KEY does not open {named}: not checked.", NOT_CHECKED_HINT)
    return ok(text)


def _signs_from(key: ValidKey) -> datetime:
    return key.public.signs_from


async def _found(setup: SetUp, secrets: Secrets, state: SecretsState) -> dict[str, ValidKey | None]:
    async with setup.db.begin() as session:
        rows = await session.scalars(select(SigningKey))
        return {row.id: validated(row, secrets, state.accepted) for row in rows}


async def _state(setup: SetUp, secrets: Secrets) -> SecretsState:
    fleet = FleetSecrets(setup.db, secrets, setup.clock)
    async with setup.db.begin() as session:
        return await fleet.read(session)


@check("second factors", needs=migrations)
async def second_factors(setup: SetUp) -> Verdict:
    """Whether SECRET_KEY opens the secrets of all second factors and recovery codes."""
    secret = setup.settings.secret_key
    if secret is None:
        return not_checked("SECRET_KEY is not set.")
    secrets = FactorSecrets.of(Secrets(secret.get_secret_value()))
    unreadable = await Resealing(setup.db, secrets).unreadable()
    if unreadable:
        return failed(
            f"{unreadable} secrets of second factors and recovery codes are sealed with a "
            "SECRET_KEY that is not given here: servers with these settings cannot check the codes "
            "of their users.",
            RESEALED_HINT,
        )
    return ok("SECRET_KEY opens the secrets of all second factors and recovery codes.")


@check("clock", needs=database)
async def clock(setup: SetUp) -> Verdict:
    before = setup.clock()
    [(theirs,)] = await setup.db.rows(NOW)
    return compared(before, theirs, setup.clock())


def compared(before: datetime, theirs: datetime, after: datetime) -> Verdict:
    """Compare a clock with that of another machine, which was read between the two times."""
    if after < EARLIEST:
        return failed(f"This machine has {after:%Y-%m-%d}, which is in the past.", "Set its clock.")
    # Any time between the two is consistent with the local clock.
    apart = max(before - theirs, theirs - after, timedelta(0))
    which = "ahead of" if before > theirs else "behind"
    if apart > APART:
        text = f"This machine is {in_largest_unit(apart)} {which} the database."
        hint = "Let NTP set both clocks."
        return failed(text, hint) if apart > FAR_APART else warning(text, hint)
    return ok("This machine and the database have the same time.")
