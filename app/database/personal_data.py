"""What of a table is in the copy of a user's data: declared on the table by `table_info`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, LargeBinary, Table

from app.errors import Misconfigured

KEY = "personal_data"
USERS = "users"
OWNER = "the id of the user, which the profile has"
BINARY = "binary"


@dataclass(frozen=True, slots=True)
class PersonalColumns:
    """The list that rows of a table make in a copy, and which of their columns are not in it."""

    list_name: str
    exported: tuple[str, ...]
    # Why each of the other columns is not in it.
    withheld: Mapping[str, str] = field(default_factory=dict[str, str])
    newest_first: str = "id"
    # Has the id of the user that a row is about.
    owner: str = "user_id"


@dataclass(frozen=True, slots=True)
class NotExported:
    """Keeps a whole table out of copies, and says why."""

    reason: str


ABOUT_NOBODY = NotExported("has nothing about users")


def personal_tables(tables: Iterable[Table]) -> dict[str, tuple[Table, PersonalColumns]]:
    """Returns the tables with rows about users, by the lists that they make.

    Raises:
        Misconfigured: two make the same list, or it does not show which user a row is about.

    """
    found: dict[str, tuple[Table, PersonalColumns]] = {}
    for table in sorted(tables, key=lambda each: each.name):
        declared = _of(table)
        if declared is None:
            continue
        if declared.list_name in found:
            other = found[declared.list_name][0].name
            raise Misconfigured(
                f"The tables {other} and {table.name} are both exported as {declared.list_name}"
            )
        found[declared.list_name] = (table, declared)
    return found


def camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def keys_to_users(table: Table) -> list[Column[Any]]:
    """Returns the columns that name a user. They need not be read: the other table may be."""
    return [key.parent for key in table.foreign_keys if key.target_fullname == f"{USERS}.id"]


def declared_of(table: Table) -> PersonalColumns | NotExported | None:
    """Returns what a table declares itself."""
    return table.info.get(KEY)


def _of(table: Table) -> PersonalColumns | None:
    declared = declared_of(table)
    if isinstance(declared, NotExported):
        return None
    return declared or _undeclared(table)


def _undeclared(table: Table) -> PersonalColumns | None:
    """Returns what a table exports that declares nothing, if its rows are about users."""
    owners = keys_to_users(table)
    if not owners:
        return None
    if len(owners) > 1:
        raise Misconfigured(
            f"The table {table.name} names users in several columns: declare its personal_data"
        )
    withheld = {
        column.name: OWNER if column is owners[0] else BINARY
        for column in table.columns
        if column is owners[0] or isinstance(column.type, LargeBinary)
    }
    return PersonalColumns(
        camel_case(table.name),
        exported=tuple(each.name for each in table.columns if each.name not in withheld),
        withheld=withheld,
        newest_first=next(iter(table.primary_key.columns)).name,
        owner=owners[0].name,
    )
