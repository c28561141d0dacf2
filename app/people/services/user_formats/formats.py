"""The formats of imports: how a file is split into records, and how a record is read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, BinaryIO

from app.people.services.user_formats import auth0, cognito, django, firebase, keycloak, supabase
from app.people.services.user_formats.fields import Fields
from app.people.services.user_formats.firebase import HashParameters
from app.people.services.user_formats.origins import check_origin
from app.people.services.user_formats.records import Record, Source, csv_rows, json_lines, json_list
from app.people.services.user_formats.systems import Origin

Reader = Callable[[Mapping[str, Any]], Fields]


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one system are read. `person` returns the fields of a record."""

    person: Reader
    # The member with the list of users, if a file is one JSON object. Otherwise it has one object
    # per line.
    member: str | None = None
    # The columns that the header of a CSV file must have; or all columns, if it has no header.
    named_columns: Sequence[str] = ()
    columns: Sequence[str] | None = None
    # Whether a file may be a JSON list.
    lists: bool = True


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a file. `unit` is what their numbers count: "line" or "record"."""

    source: Source
    unit: str
    each: Iterator[Record]


def formats(firebase_hashes: HashParameters | None) -> Mapping[Origin, Format]:
    """Returns all formats. Hashes of Firebase need the parameters of its project."""
    of_firebase = partial(firebase.person, parameters=firebase_hashes)
    known = {
        Origin.PORTICO: Format(dict, lists=False),
        Origin.AUTH0: Format(auth0.person),
        Origin.FIREBASE: Format(of_firebase, member="users", columns=firebase.COLUMNS),
        Origin.KEYCLOAK: Format(keycloak.person, member="users"),
        Origin.SUPABASE: Format(supabase.person, named_columns=("id", "email")),
        Origin.DJANGO: Format(django.person),
        Origin.COGNITO: Format(
            cognito.person, member="Users", named_columns=("cognito:username", "email")
        ),
    }
    return {
        origin: replace(each, person=partial(_person, origin, each.person))
        for origin, each in known.items()
    }


def _person(origin: Origin, read: Reader, record: Mapping[str, Any]) -> Fields:
    check_origin(origin, record)
    return read(record)


def records_of(file: BinaryIO, known: Format) -> Records:
    """Split a file into records. Its first character decides: a JSON list, an object, or CSV.

    Raises:
        UnreadableFile: while the records are read, if the file is not of the format.

    """
    source = Source(file)
    if source.head.startswith(b"[") and known.lists:
        return Records(source, "record", json_list(source, None))
    if source.head.startswith(b"{") and known.member:
        return Records(source, "record", json_list(source, known.member))
    if source.head.startswith(b"{") or not (known.columns or known.named_columns):
        return Records(source, "line", json_lines(source))
    return Records(source, "line", csv_rows(source, known.columns, known.named_columns))
