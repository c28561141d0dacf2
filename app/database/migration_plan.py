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
from app.database.migrations import config
from app.database.revisions import NO_BRANCHES, Branches, known_revisions

SIZES = text("""
    SELECT relname AS table, pg_table_size(oid) AS bytes FROM pg_class
    WHERE relkind = 'r' AND oid = to_regclass(quote_ident(relname))
""")


class Effect(Enum):
    """The effect of a statement on others while it runs, with the lock mode of PostgreSQL."""

    LOCKS = "locked for a moment (ACCESS EXCLUSIVE)"
    BLOCKS_WRITES = "writes wait for a moment (SHARE ROW EXCLUSIVE)"
    BUILDS_INDEX = "index built while others read and write (SHARE UPDATE EXCLUSIVE)"
    CHECKS_ROWS = "rows checked while others read and write (SHARE UPDATE EXCLUSIVE)"
    CHANGES_ROWS = "rows changed in batches while others read and write (ROW EXCLUSIVE)"
    UNKNOWN = "not known: read the migration"


# At least, on a slow disk in use. A million users are 215 MB, of which an index is built in 0.5 to
# 1.2 s on the machine of the benchmarks.
BYTES_PER_SECOND = {
    Effect.BUILDS_INDEX: 20_000_000,
    Effect.CHECKS_ROWS: 20_000_000,
    Effect.CHANGES_ROWS: 1_000_000,
}


# The beginning of a statement, with the table, and its effect.
EFFECTS: Sequence[tuple[str, Effect]] = (
    (r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY .+? ON (\w+)", Effect.BUILDS_INDEX),
    (r"CREATE (?:UNIQUE )?INDEX \w+ ON (\w+)", Effect.BLOCKS_WRITES),
    (r"CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .+? ON (\w+)", Effect.BLOCKS_WRITES),
    (r"ALTER TABLE (\w+) VALIDATE", Effect.CHECKS_ROWS),
    (r"(?:ALTER|DROP) TABLE (?:IF EXISTS )?(\w+)", Effect.LOCKS),
    (r"DROP TRIGGER .+? ON (\w+)", Effect.LOCKS),
    (r"(?:UPDATE|INSERT INTO|DELETE FROM) (\w+)", Effect.CHANGES_ROWS),
    (r"DO .+?(?<!FOR )(?<!DO )UPDATE (\w+)", Effect.CHANGES_ROWS),
)
# Statements without an effect on others.
WITHOUT_EFFECT = re.compile(
    r"BEGIN|COMMIT|SET LOCAL"
    r"|(?:CREATE|DROP|ALTER) (?:OR REPLACE )?(?:FUNCTION|TYPE|STATISTICS|EXTENSION|SEQUENCE)"
    r"|DROP INDEX CONCURRENTLY|COMMENT ON|GRANT|REVOKE"
    # A block that changes no rows.
    r"|DO (?!.+?(?<!FOR )(?<!DO )UPDATE \w)"
)
NEW_TABLE = re.compile(r"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)")
REFERENCED = re.compile(r"REFERENCES (\w+)")
COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


class TableEffect(NamedTuple):
    """The effect of a migration on one table."""

    table: str
    effect: Effect
    # Several indexes are built one after the other.
    times: int = 1
    # Bytes of the table; None without a database.
    size: int | None = None

    @property
    def seconds(self) -> int | None:
        """How long it may take; None if `STATEMENT_TIMEOUT` limits it."""
        if self.size is None or self.effect not in BYTES_PER_SECOND:
            return None
        return self.times * self.size // BYTES_PER_SECOND[self.effect]


@dataclass(frozen=True, slots=True)
class PendingMigration:
    """A migration that has not run yet."""

    revision: str
    title: str
    effects: Sequence[TableEffect]


class _StatementBuffer:
    """Collects the statements that Alembic prints, each in one call."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def write(self, printed: str) -> None:
        self.all.append(" ".join(COMMENT.sub("", printed).split()))

    def flush(self) -> None:
        """Nothing is buffered."""


def pending(url: str, branches: Branches = NO_BRANCHES) -> list[PendingMigration]:
    """Returns the migrations that an upgrade would run; none if the database is empty.

    Raises:
        MigrationBlocked: the tables are in another schema.
        Unavailable: the database does not answer.
        DBAPIError: the database refuses.

    """
    missing: list[Script] = []
    sizes: dict[str, int] = {}
    settings = config(url, branches)
    scripts = ScriptDirectory.from_config(settings)

    def collect_pending(revisions: tuple[str, ...], context: Any) -> list[Any]:
        # A newer release may have migrated it already.
        if revisions and known_revisions(branches).issuperset(revisions):
            missing.extend(scripts.iterate_revisions("heads", revisions))
            sizes.update((row.table, row.bytes) for row in context.connection.execute(SIZES))
        return []

    with EnvironmentContext(settings, scripts, fn=collect_pending, dont_mutate=True):
        scripts.run_env()
    # Not in `collect_pending`: printing SQL runs `env.py` too, which cannot be nested.
    return [_step(migration, sizes, branches) for migration in reversed(missing)]


def table_effects(migration: Script, branches: Branches = NO_BRANCHES) -> list[TableEffect]:
    """Returns what others notice of a migration, each table and effect once."""
    printed = _StatementBuffer()
    settings = config(branches=branches)
    settings.output_buffer = printed  # pyright: ignore[reportAttributeAccessIssue] - it writes only
    settings.attributes["migrations_only"] = True
    revisions = f"{migration.down_revision or 'base'}:{migration.revision}"
    command.upgrade(settings, revisions, sql=True)
    new = {table for each in printed.all for table in NEW_TABLE.findall(each)}
    effects = [found for each in printed.all for found in _effects(each) if found[0] not in new]
    return [TableEffect(*each, effects.count(each)) for each in dict.fromkeys(effects)]


def _effects(statement: str) -> list[tuple[str, Effect]]:
    if not statement or WITHOUT_EFFECT.match(statement):
        return []
    if NEW_TABLE.match(statement):
        return [(table, Effect.BLOCKS_WRITES) for table in REFERENCED.findall(statement)]
    for pattern, effect in EFFECTS:
        match = re.match(pattern, statement)
        if match:
            table = match.group(1)
            return [] if table == TABLE else [(table, effect)]
    return [(statement[:60], Effect.UNKNOWN)]


def _step(migration: Script, sizes: Mapping[str, int], branches: Branches) -> PendingMigration:
    effects = [
        each._replace(size=sizes.get(each.table)) for each in table_effects(migration, branches)
    ]
    return PendingMigration(migration.revision, migration.doc, effects)
