"""Migrates a million users and their sessions while others write as the API does.

Fails if a write fails, also by waiting for a lock longer than WAIT; nothing else is measured. The
linter finds shorter locks.
"""

import asyncio
import random
import sys
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
from alembic.script import ScriptDirectory

from alembic import command
from app.database import migrations
from tests.support.postgres import postgres

ROWS = 1_000_000
# Chaining earlier events takes a tenth of a millisecond each, and blocks no writes.
EVENTS_BEFORE = 100_000
WRITERS = 4
# No long transactions run here, so a migration gets its locks at once.
WAIT = "1s"
SETTINGS = (
    # A vacuum may hold a lock for a second, at random times.
    "ALTER SYSTEM SET autovacuum = off",
    "ALTER SYSTEM SET max_wal_size = '8GB'",
    "ALTER SYSTEM SET maintenance_work_mem = '256MB'",
    "SELECT pg_reload_conf()",
)
ID = "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
EMAIL = "'person' || n || '@example.com'"
PEOPLE = f"""
INSERT INTO users (id, email, email_verified, password_hash, role, created_at, updated_at,
                   last_login_at, suspended_at)
SELECT {ID}, {EMAIL}, n % 20 > 0, repeat('x', 90),
       CASE WHEN n % 1000 = 0 THEN 'ADMIN' ELSE 'MEMBER' END,
       timestamptz '2026-01-01 00:00:00Z' + n * interval '1 second', now(),
       CASE WHEN n % 3 > 0 THEN timestamptz '2026-02-01 00:00:00Z' + n % 1000 * interval '1 h' END,
       CASE WHEN n % 999 = 0 THEN now() END
FROM generate_series(1, {ROWS}) n
"""  # noqa: S608 - a number of ours
SESSIONS = f"""
INSERT INTO sessions (id, user_id, token_salt, rotated_at, created_at, last_used_at, expires_at,
                      ends_by, ended_at)
SELECT {ID}, {ID}, sha256('salt'), now(), now(), now(), now() + interval '30 days',
       now() + interval '1 year', CASE WHEN n % 2 = 0 THEN now() END
FROM generate_series(1, {ROWS}) n
"""  # noqa: S608 - a number of ours
EVENTS = f"""
INSERT INTO audit_events (id, at, name, actor_id, target_id, ip_address, details)
SELECT {ID}, now(), 'session.started', {ID}, {ID}, '192.0.2.1', '{{}}'
FROM generate_series(1, {EVENTS_BEFORE}) n
"""  # noqa: S608 - a number of ours
# After the revision that creates the table.
FILLED = {"0001": (PEOPLE, SESSIONS), "0002": (EVENTS,)}

REGISTER = """
INSERT INTO users (id, email, password_hash, created_at, updated_at)
VALUES ($1, $1::uuid || '@example.com', 'hash', now(), now())
"""
SIGN_IN = "UPDATE users SET last_login_at = now(), updated_at = now() WHERE email = $1"
START = """
INSERT INTO sessions (id, user_id, token_salt, rotated_at, created_at, last_used_at, expires_at,
                      ends_by)
SELECT $1, id, sha256('salt'), now(), now(), now(), now(), now() FROM users WHERE email = $2
"""
REFRESH = "UPDATE sessions SET generation = generation + 1, last_used_at = now() WHERE id = $1"
RECORD = """
INSERT INTO audit_events (id, at, name, actor_id, target_id, ip_address, details)
VALUES ($1, now(), 'session.started', $1, $1, '192.0.2.1', '{}')
"""


@dataclass
class Written:
    """What all writers have done so far."""

    events: bool = False
    seconds: list[float] = field(default_factory=list[float])

    async def go_on(self, url: str) -> None:
        connection = await asyncpg.connect(url, server_settings={"lock_timeout": WAIT})
        try:
            while True:
                started = time.monotonic()
                async with connection.transaction():
                    await self._write(connection)
                self.seconds.append(time.monotonic() - started)
                await asyncio.sleep(0.01)
        finally:
            await connection.close()

    async def _write(self, connection: asyncpg.Connection) -> None:
        new, existing = uuid.uuid4(), f"person{random.randint(1, ROWS)}@example.com"  # noqa: S311
        await connection.execute(REGISTER, new)
        await connection.execute(SIGN_IN, existing)
        await connection.execute(START, new, existing)
        await connection.execute(REFRESH, new)
        if self.events:
            await connection.execute(RECORD, new)


@asynccontextmanager
async def writing(url: str) -> AsyncGenerator[Written]:
    """Run the writers; the first failure ends everything."""
    written = Written()
    async with asyncio.TaskGroup() as writers:
        tasks = [writers.create_task(written.go_on(url)) for _ in range(WRITERS)]
        yield written
        for task in tasks:
            task.cancel()


async def run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def fill(url: str, revision: str) -> None:
    if revision in FILLED:
        started = time.monotonic()
        await run(url, *FILLED[revision], "ANALYZE")
        print(f"filled in {time.monotonic() - started:.1f} s")


async def migrate(url: str, revision: str, written: Written) -> None:
    before, started = len(written.seconds), time.monotonic()
    await asyncio.to_thread(command.upgrade, migrations.config(url), revision)
    slowest = max(written.seconds[before:], default=0)
    print(
        f"{revision} in {time.monotonic() - started:.1f} s: "
        f"{len(written.seconds) - before} writes, the slowest {slowest * 1000:.0f} ms"
    )


async def main(url: str) -> None:
    scripts = ScriptDirectory.from_config(migrations.config())
    first, *others = (script.revision for script in reversed(list(scripts.walk_revisions())))
    await run(url, *SETTINGS)
    await asyncio.to_thread(command.upgrade, migrations.config(url), first)
    await fill(url, first)
    async with writing(url) as written:
        for revision in others:
            await migrate(url, revision, written)
            await fill(url, revision)
            # The first of them creates their table.
            written.events = True
    print(f"{len(written.seconds)} writes, none failed, none waited for a lock for {WAIT}")


try:
    with postgres() as server:
        asyncio.run(main(server.url))
except* asyncpg.PostgresError as failures:
    for failure in failures.exceptions:
        print(f"A write failed: {failure!r}")
    sys.exit(1)
