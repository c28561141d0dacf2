"""One person in and out of a file: the values of a record as a row, and a row as a line of JSON."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from app.database.identifiers import new_id
from app.outcomes import InputIssue
from app.users.models import UserRow
from app.users.services.inputs import ImportedSuspension, ImportedUser, check

COLUMNS = (
    "id",
    "email",
    "email_verified",
    "password_hash",
    "display_name",
    "role",
    "suspended_at",
    "suspended_until",
    "suspension_reason",
    "created_at",
    "updated_at",
    "last_login_at",
    "external_id",
)
PASSWORD_HASH = "passwordHash"  # noqa: S105 - the name of a field


class Person(NamedTuple):
    """The values of `COLUMNS`, the id that the record gave, and what of it was left out."""

    row: Sequence[Any]
    given_id: uuid.UUID | None
    left_out: str | None = None


def read_person(
    values: dict[str, Any],
    now: datetime,
    email_domains: Collection[str],
    *,
    drop_unreadable_hashes: bool,
) -> Person | str:
    """Check the values of a record, or say what is wrong with them in words that quote nothing."""
    person = check(ImportedUser, values, now=now, email_domains=email_domains)
    if isinstance(person, ImportedUser):
        return Person(_row(person, now), person.id)
    if drop_unreadable_hashes and all(issue.path[:1] == (PASSWORD_HASH,) for issue in person):
        bare = {name: each for name, each in values.items() if name != PASSWORD_HASH}
        without = read_person(bare, now, email_domains, drop_unreadable_hashes=False)
        return without if isinstance(without, str) else without._replace(left_out=_words(person))
    return _words(person)


def write_line(user: UserRow, password_hash: str | None, now: datetime) -> bytes:
    values: dict[str, Any] = {
        # The driver's UUID is none that orjson knows.
        "id": str(user.id),
        "externalId": user.external_id,
        "email": user.email,
        "displayName": user.display_name,
        "role": user.role,
        "emailVerified": user.email_verified,
        "createdAt": user.created_at,
        "lastLoginAt": user.last_login_at,
    }
    if not user.is_active(now):
        values["suspension"] = {"reason": user.suspension_reason, "until": user.suspended_until}
    if password_hash is not None:
        values[PASSWORD_HASH] = password_hash
    return orjson.dumps(values, option=orjson.OPT_UTC_Z)


def _words(issues: Sequence[InputIssue]) -> str:
    return "; ".join(f"{'.'.join(issue.path)}: {issue.message}" for issue in issues)


def _row(person: ImportedUser, now: datetime) -> Sequence[Any]:
    created, suspension = person.created_at or now, _lasting(person.suspension, now)
    return (
        person.id or new_id(created),
        person.email,
        person.email_verified,
        person.password_hash,
        person.display_name,
        person.role,
        now if suspension else None,
        suspension.until if suspension else None,
        suspension.reason if suspension else None,
        created,
        now,
        person.last_login_at,
        person.external_id,
    )


def _lasting(suspension: ImportedSuspension | None, now: datetime) -> ImportedSuspension | None:
    """A suspension that has not ended yet."""
    ended = suspension and suspension.until and suspension.until <= now
    return None if ended else suspension
