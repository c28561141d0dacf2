"""Checks of the keys that sign tokens, and of the clocks that tokens are judged by."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from app.commands.doctor.database import database, migrations
from app.commands.doctor.findings import Verdict, check, failed, ok, warning
from app.commands.doctor.set_up import SetUp
from app.commands.sizes import in_largest_unit
from app.models import SigningKey
from app.security.keys import KeyPair, Secrets

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
    """Whether SECRET_KEY opens the keys in the database, and one of them signs now."""
    rows = await setup.db.rows(KEYS)
    secret = setup.settings.secret_key
    if secret is None:
        return failed("SECRET_KEY is not set.", "Set it, or SECRET_KEY_FILE.")
    _open(Secrets(secret.get_secret_value()), rows)
    now = setup.clock()
    signing = [row.signs_from for row in rows if row.signs_from <= now]
    if not signing:
        return warning("No key signs yet.", "The first server that starts makes one.")
    age = now - max(signing)
    text = f"SECRET_KEY opens {len(rows)}; the one that signs is {in_largest_unit(age)} old."
    if age > timedelta(days=setup.given.signing_key_rotate_days) + SLACK:
        return warning(text, "A running server replaces it: does any run?")
    return ok(text)


def _open(secrets: Secrets, rows: Sequence[Any]) -> None:
    """Open each key.

    Raises:
        Misconfigured: one of them cannot be opened.

    """
    for row in rows:
        KeyPair.load(row.id, secrets.open(row.sealed_private_key), row.signs_from)


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
