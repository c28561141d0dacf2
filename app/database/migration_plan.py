"""What `portico db upgrade` does to tables in use, read from the SQL of each migration."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from alembic.runtime.environment import EnvironmentContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import text

from alembic import command
from app.database.migration_table import TABLE
from app.database.migrations import NO_BRANCHES, Branches, config, known

SIZES = text("""
    SELECT relname AS table, pg_table_size(oid) AS bytes FROM pg_class
    WHERE relkind = 'r' AND oid = to_regclass(quote_ident(relname))
""")


class Effect(Enum):
    """What others notice while a statement runs, with the lock mode of PostgreSQL."""

    CLOSES = "locked for a moment (ACCESS EXCLUSIVE)"
    STOPS_WRITES = "writes wait for a moment (SHARE ROW EXCLUSIVE)"
    INDEXES = "index built while others read and write (SHARE UPDATE EXCLUSIVE)"
    CHECKS = "rows checked while others read and write (SHARE UPDATE EXCLUSIVE)"
    REWRITES = "rows changed in batches while others read and write (ROW EXCLUSIVE)"
    UNKNOWN = "not known: read the migration"


# What a second does at least, on a slow disk while others use it. A million users are 215 MB, of
# which an index is built in 0.5 to 1.2 s on the machine of the benchmarks.
BYTES_A_SECOND = {
    Effect.INDEXES: 20_000_000,
    Effect.CHECKS: 20_000_000,
    Effect.REWRITES: 1_000_000,
}


# How a statement begins, and what it does to the table of that name.
EFFECTS: Sequence[tuple[str, Effect]] = (
    (r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY .+? ON (\w+)", Effect.INDEXES),
    (r"CREATE (?:UNIQUE )?INDEX \w+ ON (\w+)", Effect.STOPS_WRITES),
    (r"CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .+? ON (\w+)", Effect.STOPS_WRITES),
    (r"ALTER TABLE (\w+) VALIDATE", Effect.CHECKS),
    (r"(?:ALTER|DROP) TABLE (?:IF EXISTS )?(\w+)", Effect.CLOSES),
    (r"DROP TRIGGER .+? ON (\w+)", Effect.CLOSES),
    (r"(?:UPDATE|INSERT INTO|DELETE FROM) (\w+)", Effect.REWRITES),
    (r"DO .+?(?<!FOR )(?<!DO )UPDATE (\w+)", Effect.REWRITES),
)
# What nobody notices: names of things, what is new, and the frame that Alembic puts around.
UNNOTICED = re.compile(
    r"BEGIN|COMMIT|SET LOCAL"
    r"|(?:CREATE|DROP|ALTER) (?:OR REPLACE )?(?:FUNCTION|TYPE|STATISTICS|EXTENSION|SEQUENCE)"
    r"|DROP INDEX CONCURRENTLY|COMMENT ON|GRANT|REVOKE"
    # A block that changes no rows.
    r"|DO (?!.+?(?<!FOR )(?<!DO )UPDATE \w)"
)
NEW_TABLE = re.compile(r"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)")
REFERENCED = re.compile(r"REFERENCES (\w+)")
COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


class Noticed(NamedTuple):
    """What others notice of one table."""

    table: str
    effect: Effect
    # How often: several indexes are built one after the other.
    times: int = 1
    # Of the table, where there is a database.
    size: int | None = None

    @property
    def seconds(self) -> int | None:
        """How long it may take; None if a limit ends it after `STATEMENT_TIMEOUT`."""
        if self.size is None or self.effect not in BYTES_A_SECOND:
            return None
        return self.times * self.size // BYTES_A_SECOND[self.effect]


@dataclass(frozen=True, slots=True)
class Step:
    """One migration that has not run yet."""

    revision: str
    title: str
    noticed: Sequence[Noticed]


class _Statements:
    """Where Alembic prints to: each statement comes by itself."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def write(self, printed: str) -> None:
        self.all.append(" ".join(COMMENT.sub("", printed).split()))

    def flush(self) -> None:
        """Nothing is held back."""


def pending(url: str, branches: Branches = NO_BRANCHES) -> list[Step]:
    """Returns what an upgrade of this database would run; nothing if all of its tables are new.

    Raises:
        MigrationBlocked: another schema is in the way.
        Unavailable: the database does not answer.
        DBAPIError: the database refuses.

    """
    missing: list[Script] = []
    sizes: dict[str, int] = {}
    settings = config(url, branches)
    scripts = ScriptDirectory.from_config(settings)

    def look(revisions: tuple[str, ...], context: Any) -> list[Any]:
        # A newer release may have migrated it already.
        if revisions and known(branches).issuperset(revisions):
            missing.extend(scripts.iterate_revisions("heads", revisions))
            sizes.update((row.table, row.bytes) for row in context.connection.execute(SIZES))
        return []

    with EnvironmentContext(settings, scripts, fn=look, dont_mutate=True):
        scripts.run_env()
    # Afterwards: printing SQL runs `env.py` too, which cannot be nested.
    return [_step(migration, sizes, branches) for migration in reversed(missing)]


def noticed_of(migration: Script, branches: Branches = NO_BRANCHES) -> list[Noticed]:
    """Returns what others notice of a migration, each table and effect once."""
    printed = _Statements()
    settings = config(branches=branches)
    settings.output_buffer = printed  # pyright: ignore[reportAttributeAccessIssue] - it writes only
    settings.attributes["migrations_only"] = True
    revisions = f"{migration.down_revision or 'base'}:{migration.revision}"
    command.upgrade(settings, revisions, sql=True)
    new = {table for each in printed.all for table in NEW_TABLE.findall(each)}
    effects = [found for each in printed.all for found in _effects(each) if found[0] not in new]
    return [Noticed(*each, effects.count(each)) for each in dict.fromkeys(effects)]


def _effects(statement: str) -> list[tuple[str, Effect]]:
    if not statement or UNNOTICED.match(statement):
        return []
    if NEW_TABLE.match(statement):
        return [(table, Effect.STOPS_WRITES) for table in REFERENCED.findall(statement)]
    for pattern, effect in EFFECTS:
        match = re.match(pattern, statement)
        if match:
            table = match.group(1)
            return [] if table == TABLE else [(table, effect)]
    return [(statement[:60], Effect.UNKNOWN)]


def _step(migration: Script, sizes: Mapping[str, int], branches: Branches) -> Step:
    noticed = [
        each._replace(size=sizes.get(each.table)) for each in noticed_of(migration, branches)
    ]
    return Step(migration.revision, migration.doc, noticed)
