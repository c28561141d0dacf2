"""Runs checks concurrently, each with a timeout; errors become findings."""

import asyncio
import logging
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from app.cli.doctor.environment import SetUp
from app.cli.doctor.findings import SECONDS, Check, Finding, State, Verdict, failed, not_checked
from app.database.errors import explanation
from app.database.outages import remove_values
from app.errors import Misconfigured, Unavailable

Running = dict[Check, asyncio.Task[Finding]]

log = logging.getLogger(__name__)


async def examine(checks: Sequence[Check], setup: SetUp) -> list[Finding]:
    """Run all checks; each check comes after the one that it needs."""
    running: Running = {}
    for each in checks:
        needed = running[each.needs] if each.needs else None
        running[each] = asyncio.create_task(_found(each, needed, setup))
    return [await task for task in running.values()]


async def _found(check: Check, needed: asyncio.Task[Finding] | None, setup: SetUp) -> Finding:
    before = await needed if needed else None
    if before and before.state in {State.FAILED, State.NOT_CHECKED}:
        return Finding(check.name, State.NOT_CHECKED, f"depends on: {before.name}")
    verdict = await _verdict(check, setup)
    return Finding(check.name, verdict.state, verdict.text, verdict.hint)


async def _verdict(check: Check, setup: SetUp) -> Verdict:
    try:
        return await _in_time(check, setup)
    except Misconfigured as problem:
        return failed(str(problem))
    except (SQLAlchemyError, Unavailable, OSError) as problem:
        remove_values(problem)
        return failed(explanation(problem))
    except Exception as problem:
        log.debug("The check %s failed", check.name, exc_info=problem)
        return not_checked(f"{type(problem).__name__}: LOG_LEVEL=DEBUG says where.")


async def _in_time(check: Check, setup: SetUp) -> Verdict:
    examination = asyncio.ensure_future(check.examine(setup))
    done, _ = await asyncio.wait({examination}, timeout=SECONDS)
    if not done:
        # Closing its connection may take long, so its end is not waited for.
        examination.cancel()
        return failed(f"This took longer than {SECONDS:g} s.")
    return examination.result()
