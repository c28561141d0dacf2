"""Which rights on a table serving takes: declared on it, and given by `portico db grant`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Table

KEY = "rights"
# Columns of each privilege; none named are the whole table.
Privileges = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Rights:
    """What the role that serves may do, and what it may do besides where the audit is trimmed."""

    serving: Privileges
    retention: Privileges = field(default_factory=dict[str, tuple[str, ...]])

    def of(self, *, retention: bool) -> dict[str, tuple[str, ...]]:
        """Returns the columns of each privilege."""
        given = dict(self.serving)
        for privilege, columns in self.retention.items() if retention else ():
            given[privilege] = (*given.get(privilege, ()), *columns)
        return given


ROWS = Rights({"SELECT": (), "INSERT": (), "UPDATE": (), "DELETE": ()})
READ = Rights({"SELECT": ()})
# It only grows.
APPEND = Rights({"SELECT": (), "INSERT": ()})


def rights_of(table: Table) -> Rights:
    """Returns the rights that a table declares; those to all of its rows where it declares none."""
    return table.info.get(KEY, ROWS)
