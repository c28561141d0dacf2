"""Which columns of a table are in the copy of a user's data: declared by `table_info`."""

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
    """The list of a table's rows in a copy, and which columns are in it."""

    list_name: str
    exported: tuple[str, ...]
    # The reason why each other column is not in it.
    withheld: Mapping[str, str] = field(default_factory=dict[str, str])
    newest_first: str = "id"
    # The column with the id of the user that a row is about.
    owner: str = "user_id"


@dataclass(frozen=True, slots=True)
class NotExported:
    """Excludes a whole table from copies, with the reason."""

    reason: str


NOT_ABOUT_USERS = NotExported("has nothing about users")


def personal_tables(tables: Iterable[Table]) -> dict[str, tuple[Table, PersonalColumns]]:
    """Returns the tables with rows about users, by the names of their lists.

    Raises:
        Misconfigured: two tables have the same list, or the user of a row is ambiguous.

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
    """Returns the foreign keys to users. The table of users need not be loaded for that."""
    return [key.parent for key in table.foreign_keys if key.target_fullname == f"{USERS}.id"]


def declared_of(table: Table) -> PersonalColumns | NotExported | None:
    """Returns the declaration on a table, if it has one."""
    return table.info.get(KEY)


def _of(table: Table) -> PersonalColumns | None:
    declared = declared_of(table)
    if isinstance(declared, NotExported):
        return None
    return declared or _default(table)


def _default(table: Table) -> PersonalColumns | None:
    """Returns what a table without a declaration exports, if it has a foreign key to users."""
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
