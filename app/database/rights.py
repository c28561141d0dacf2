"""The rights on a table that serving needs: declared on it, granted by `portico db grant`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Table

KEY = "rights"
# The columns of each privilege; without columns, it is on the whole table.
Privileges = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Rights:
    """Rights of the role that serves, and those it also needs for audit retention."""

    serving: Privileges
    retention: Privileges = field(default_factory=dict[str, tuple[str, ...]])

    def of(self, *, retention: bool) -> dict[str, tuple[str, ...]]:
        """Returns the columns of each privilege."""
        granted = dict(self.serving)
        for privilege, columns in self.retention.items() if retention else ():
            granted[privilege] = (*granted.get(privilege, ()), *columns)
        return granted


ROWS = Rights({"SELECT": (), "INSERT": (), "UPDATE": (), "DELETE": ()})
READ = Rights({"SELECT": ()})
# Rows are never changed or deleted.
APPEND = Rights({"SELECT": (), "INSERT": ()})


def rights_of(table: Table) -> Rights:
    """Returns the rights that a table declares, by default those on all rows."""
    return table.info.get(KEY, ROWS)
