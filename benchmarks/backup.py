"""Measures the size of a user base, its backup and its restoration, and checks that it serves."""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
from client import Client
from database import SEED_SECONDS, address, binaries
from processes import BenchmarkFailed, run
from script import run_script
from stage import CHEAP_HASHES, Stage, machine, say, stage, write_result
from tables import grid, report

MINUTES = 30 * 60
# One for each user, as a sign-in creates it.
SESSIONS = """
INSERT INTO sessions (id, user_id, token_salt, rotated_at, user_agent, ip_address, created_at,
                      last_used_at, expires_at, ends_by)
SELECT gen_random_uuid(), id, decode(md5(id::text), 'hex'), now(),
       'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', '203.0.113.9',
       now(), now(), now() + interval '30 d', now() + interval '365 d'
FROM users
"""
# A few in each transaction, as requests write them.
EVENTS_AT_ONCE = 100
EVENTS = """
INSERT INTO audit_events (id, at, name, actor_id, target_id, ip_address, request_id, details)
SELECT gen_random_uuid(), now(), 'session.started', person, person, '203.0.113.9',
       'b0c1d2e3f4000001', '{}'
FROM generate_series(1, $1::int), LATERAL (SELECT gen_random_uuid() AS person) AS people
"""
SIZE = "SELECT pg_total_relation_size($1::regclass)::float8 / greatest(count(*), 1) FROM "


@dataclass(frozen=True)
class Figures:
    bytes_a_row: dict[str, float]
    dumped_bytes: int
    dump_seconds: float
    restore_seconds: float
    verified: str


def main(options: argparse.Namespace) -> None:
    with stage(options.people, pinned=False) as set_up:
        say("Sessions and events …")
        sizes = asyncio.run(_fill(set_up, options.events))
        figures = _there_and_back(set_up, sizes)
        about = machine(set_up)
    text = _report(figures, options, about)
    write_result("backup.md", text)
    print(text)


async def _fill(set_up: Stage, events: int) -> dict[str, float]:
    connection = await asyncpg.connect(set_up.database_url)
    try:
        await connection.execute(SESSIONS, timeout=SEED_SECONDS)
        for _ in range(0, events, EVENTS_AT_ONCE):
            await connection.execute(EVENTS, EVENTS_AT_ONCE)
        tables = ("users", "sessions", "audit_events")
        return {
            table: await connection.fetchval(SIZE + table, table, timeout=SEED_SECONDS)
            for table in tables
        }
    finally:
        await connection.close()


def _there_and_back(set_up: Stage, sizes: dict[str, float]) -> Figures:
    archive, tools = set_up.directory / "portico.dump", binaries()
    restored = replace(set_up, database_url=set_up.database_url.replace("/postgres", "/restored"))
    dump = [tools / "pg_dump", "-Fc", "-f", archive, set_up.database_url]
    restore = [tools / "pg_restore", "-j", "2", "-d", restored.database_url, archive]
    dump_seconds = _timed(lambda: _do(dump))
    asyncio.run(_make(set_up.database_url))
    restore_seconds = _timed(lambda: _do(restore))
    return Figures(
        sizes, archive.stat().st_size, dump_seconds, restore_seconds, _verified(restored)
    )


def _do(command: Iterable[object]) -> None:
    run([str(part) for part in command], seconds=MINUTES)


async def _make(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE DATABASE restored")
    await connection.close()


def _verified(restored: Stage) -> str:
    """Check that the restored database is complete: the audit verifies, and users can sign in."""
    environment = {
        **os.environ,
        "DATABASE_URL": restored.database_url,
        "SECRET_KEY": restored.secret_key,
    }
    command = [Path(sys.executable).parent / "portico", "audit", "verify"]
    walked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if walked.returncode:
        raise BenchmarkFailed(walked.stderr)
    with restored.portico(CHEAP_HASHES) as server:
        if Client(server.port).login(address(1), restored.password) is None:
            raise BenchmarkFailed("Sign-in fails after the restoration.")
    return walked.stdout.strip()


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _report(figures: Figures, options: argparse.Namespace, about: dict[str, str]) -> str:
    rows = [
        [f"a row of `{table}`, with its indexes", f"{size:,.0f} bytes"]
        for table, size in figures.bytes_a_row.items()
    ]
    rows += [
        ["the backup (`pg_dump -Fc`)", f"{figures.dumped_bytes / 2**20:,.0f} MiB"],
        ["making it", f"{figures.dump_seconds:.0f} s"],
        ["restoring it (`pg_restore -j 2`)", f"{figures.restore_seconds:.0f} s"],
    ]
    verdict = (
        f"{options.people:,} people with a session each, and {options.events:,} events. After the "
        f"restoration people sign in, and `portico audit verify` says: {figures.verified}"
    )
    title = "What a user base weighs, and how long its backup takes"
    return report(title, grid(("", ""), rows), [verdict], about)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=200_000)
    parser.add_argument("--events", type=int, default=50_000)
    run_script(main, parser)
