"""One user in and out of a file: the values of a record as a row, and a row as a line of JSON."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from app.outcomes import InputIssue
from app.people.services.user_fields import FIELDS, FILLS, Exported, ImportedUser
from app.users.services.inputs import check

PASSWORD_HASH = "passwordHash"  # noqa: S105 - the name of a field


class Person(NamedTuple):
    """The values of `FILLS`, the id that the record gave, and what of it was left out."""

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
        return Person([fill(person, now) for fill in FILLS.values()], person.id)
    if drop_unreadable_hashes and all(issue.path[:1] == (PASSWORD_HASH,) for issue in person):
        bare = {name: each for name, each in values.items() if name != PASSWORD_HASH}
        without = read_person(bare, now, email_domains, drop_unreadable_hashes=False)
        return without if isinstance(without, str) else without._replace(left_out=_words(person))
    return _words(person)


def write_line(exported: Exported) -> bytes:
    written = ((name, field, field.write(exported)) for name, field in FIELDS.items())
    values = {
        name: value for name, field, value in written if value is not None or not field.is_left_out
    }
    return orjson.dumps(values, option=orjson.OPT_UTC_Z)


def _words(issues: Sequence[InputIssue]) -> str:
    return "; ".join(f"{'.'.join(issue.path)}: {issue.message}" for issue in issues)
