"""How long audit retention takes, what it leaves, and what the checkpoints weigh and cost."""

import argparse
import asyncio
import time
from dataclasses import dataclass

import asyncpg
from script import run_script
from stage import Stage, machine, say, stage, write_result
from tables import grid, report

from app.audit.services.checkpoints import Checkpoints
from app.audit.services.integrity import Verification
from app.audit.services.retention import AuditRetention
from app.modules import MODULES, settings_class
from app.portico import Portico, build

# Enough of them to weigh one; after everything else, for they are no chains.
STUMPS = """
INSERT INTO audit_chains
SELECT '2020-01-01/' || n, n, sha256(n::text::bytea), n FROM generate_series(100000, 110000) n
"""
PEOPLE, KEEP_DAYS, OLD_DAYS, CHAINS = 100, 30, 60, 8
# One every five minutes, if something happened in each of them.
CHECKPOINTS_A_YEAR = 288 * 365
WRITTEN_AT_ONCE = 100
EVENTS = """
INSERT INTO audit_events (id, at, name, actor_id, target_id, ip_address, request_id, details)
SELECT gen_random_uuid(), now() - $1::int * interval '1 day', 'session.started', person, person,
       '203.0.113.9', 'b0c1d2e3f4000001', '{}'
FROM generate_series(1, $2::int), LATERAL (SELECT gen_random_uuid() AS person) AS people
"""
# As an account that is deleted does, for which retention may hold the same rows.
ERASE = """
UPDATE audit_events SET ip_address = NULL, ip_salt = NULL
WHERE id = (SELECT id FROM audit_events WHERE ip_address IS NOT NULL
            ORDER BY chain DESC, position LIMIT 1)
"""


@dataclass
class Figures:
    removed: int = 0
    remove_seconds: float = 0
    slowest_erasure: float = 0
    verify_before: float = 0
    verify_after: float = 0
    checkpoints: int = 0
    checkpoint_bytes: float = 0
    stump_bytes: float = 0
    verify_checkpoints: float = 0


def main(options: argparse.Namespace) -> None:
    with stage(PEOPLE, pinned=False) as set_up:
        figures = asyncio.run(_measure(set_up, options))
        about = machine(set_up)
    text = _report(figures, options, about)
    write_result("audit-retention.md", text)
    print(text)


async def _measure(set_up: Stage, options: argparse.Namespace) -> Figures:
    portico, figures = _portico(set_up), Figures()
    writers = [await asyncpg.connect(set_up.database_url) for _ in range(CHAINS)]
    await portico.start()
    say("Events that are kept, and events that are not …")
    for days in (OLD_DAYS, 0):
        await _write(writers, days, options.events // 2)
        await portico.services[Checkpoints].sign()
    figures.verify_before = await _verify(portico)
    say("Removing …")
    await _remove(portico, writers[0], figures)
    figures.verify_after = await _verify(portico)
    say("Checkpoints …")
    for _ in range(options.checkpoints):
        await _write(writers, 0, CHAINS)
        await portico.services[Checkpoints].sign()
    figures.checkpoints = options.checkpoints
    figures.verify_checkpoints = await _verify(portico)
    figures.checkpoint_bytes = await _bytes(writers[0], "audit_checkpoints")
    await writers[0].execute(STUMPS)
    await writers[0].execute("VACUUM FULL audit_chains")
    figures.stump_bytes = await _bytes(writers[0], "audit_chains")
    for writer in writers:
        await writer.close()
    await portico.stop()
    return figures


def _portico(set_up: Stage) -> Portico:
    values = {
        "database_url": set_up.database_url,
        "secret_key": set_up.secret_key,
        "audit_keep_days": KEEP_DAYS,
    }
    return build(settings_class(MODULES)(**values))


async def _write(writers: list[asyncpg.Connection], days: int, events: int) -> None:
    """As requests write them: a few in a transaction, several at once."""

    async def write(writer: asyncpg.Connection) -> None:
        left = events // len(writers)
        while left > 0:
            await writer.execute(EVENTS, days, min(left, WRITTEN_AT_ONCE))
            left -= WRITTEN_AT_ONCE

    await asyncio.gather(*map(write, writers))


async def _remove(portico: Portico, other: asyncpg.Connection, figures: Figures) -> None:
    began = time.perf_counter()
    removal = asyncio.ensure_future(portico.services[AuditRetention].apply())
    while not removal.done():
        started = time.perf_counter()
        await other.execute(ERASE)
        figures.slowest_erasure = max(figures.slowest_erasure, time.perf_counter() - started)
    figures.removed = await removal
    figures.remove_seconds = time.perf_counter() - began


async def _verify(portico: Portico) -> float:
    began = time.perf_counter()
    await portico.services[Verification].walk()
    return time.perf_counter() - began


async def _bytes(connection: asyncpg.Connection, table: str) -> float:
    """What a row takes, with its indexes."""
    return await connection.fetchval(
        f"SELECT pg_total_relation_size('{table}')::float8 / count(*) FROM {table}"  # noqa: S608
    )


def _report(figures: Figures, options: argparse.Namespace, about: dict[str, str]) -> str:
    a_checkpoint = (figures.verify_checkpoints - figures.verify_after) / figures.checkpoints
    rows = [
        ["events removed in a second", f"{figures.removed / figures.remove_seconds:,.0f}"],
        ["the slowest erasure of an address meanwhile", f"{figures.slowest_erasure * 1000:.0f} ms"],
        ["verification before", f"{figures.verify_before:.2f} s"],
        ["verification after", f"{figures.verify_after:.2f} s"],
        ["a checkpoint", f"{figures.checkpoint_bytes:,.0f} bytes"],
        ["a checkpoint, verified with its eight events", f"{a_checkpoint * 1000:.2f} ms"],
        ["a row of `audit_chains`", f"{figures.stump_bytes:,.0f} bytes"],
    ]
    verdict = (
        f"{figures.removed:,} of {options.events:,} events were removed, the rest is kept. "
        f"Checkpoints are kept for ever: {CHECKPOINTS_A_YEAR:,} a year at most are "
        f"{figures.checkpoint_bytes * CHECKPOINTS_A_YEAR / 1e6:.0f} MB and take "
        f"{a_checkpoint * CHECKPOINTS_A_YEAR:.0f} s to verify; the ends of chains are "
        f"{figures.stump_bytes * CHAINS * 365 / 1e6:.1f} MB a year at most."
    )
    about = {**about, "command": f"benchmarks/audit_retention.py --events {options.events}"}
    return report("What audit retention takes", grid(("what", "figure"), rows), [verdict], about)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--checkpoints", type=int, default=2_000)
    run_script(main, parser)
