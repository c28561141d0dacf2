"""`portico jobs` and `portico jobs retry`."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from rich.markup import escape
from rich.table import Table

from app.cli.console import fail, out
from app.cli.setup import database, started
from app.composition import build
from app.jobs.services.queue import DelayedJob, FailedJob, Jobs, SealedElsewhere
from app.modules import read_settings
from app.settings import Settings
from app.text.visible import one_line


def show() -> None:
    with database(read_settings()) as settings:
        asyncio.run(_show(settings))


def retry(job_id: int | None, *, everything: bool, waiting: bool) -> None:
    if (job_id is None) != (everything or waiting):
        fail("Pass the id of a job, or --all, --waiting or both.")
    with database(read_settings()) as settings:
        lines = asyncio.run(_retry(settings, job_id, failed=everything, waiting=waiting))
    if not any(lines) and job_id is not None:
        fail(f"Job {job_id} has not failed and does not wait for its next try.")
    if lines.retried or not lines.not_retried:
        out.print("\n".join(lines.retried) or "There are no such jobs.")
    if lines.not_retried:
        fail("\n".join(lines.not_retried))


async def _show(settings: Settings) -> None:
    async with started(build(settings)) as portico:
        waiting = await portico.services[Jobs].waiting()
        out.print(", ".join(f"{number} {state}" for state, number in waiting.items()) or "0 queued")
        backlog = await portico.services[Jobs].backlog()
        if backlog.oldest_seconds:
            age = timedelta(seconds=round(backlog.oldest_seconds))
            out.print(f"The oldest that is due has waited for {age} (hours:minutes:seconds).")
        _show_delayed(await portico.services[Jobs].delayed())
        _show_failed(await portico.services[Jobs].failed())


def _show_delayed(delayed: Sequence[DelayedJob]) -> None:
    if not delayed:
        return
    table = Table("job", "name", "created", "last tried", "next try", "tries", "error", box=None)
    for job in delayed:
        times = map(_moment, (job.created_at, job.last_tried_at, job.next_try_at))
        name, failure = _shown(job.name), _shown(job.failure or "")
        table.add_row(str(job.id), name, *times, str(job.tries), failure)
    out.print(table)
    out.print("`portico jobs retry ID` or `--waiting` retries them now.")


def _show_failed(failed: Sequence[FailedJob]) -> None:
    if not failed:
        out.print("No job has failed.")
        return
    table = Table("job", "name", "created", "last tried", "tries", "error", box=None)
    for job in failed:
        times = map(_moment, (job.created_at, job.last_tried_at))
        name, failure = _shown(job.name), _shown(job.failure or "")
        table.add_row(str(job.id), name, *times, str(job.tries + 1), failure)
    out.print(table)
    out.print(f"{_jobs(len(failed))} failed. `portico jobs retry ID` or `--all` retries them.")


class RetryLines(NamedTuple):
    """A line for each job that is retried, and for each that is not."""

    retried: list[str]
    not_retried: list[str]


async def _retry(
    settings: Settings, job_id: int | None, *, failed: bool, waiting: bool
) -> RetryLines:
    ids = None if job_id is None else [job_id]
    lines = RetryLines([], [])
    async with started(build(settings)) as portico:
        if failed or ids:
            retried = await portico.services[Jobs].retry_failed(ids)
            lines.retried.extend(map(_retried_failed, retried.tried))
            lines.not_retried.extend(map(_not_retried, retried.unreadable))
        if waiting or ids:
            lines.retried.extend(
                map(_retried_delayed, await portico.services[Jobs].retry_delayed(ids))
            )
    return lines


def _not_retried(job: FailedJob) -> str:
    return f"Job {job.id} ({one_line(job.name)}) is not retried: {SealedElsewhere.message}."


def _retried_failed(job: FailedJob) -> str:
    return f"Job {job.id} ({one_line(job.name)}) had failed: it is retried now, as if it were new."


def _retried_delayed(job: DelayedJob) -> str:
    named = f"Job {job.id} ({one_line(job.name)})"
    return f"{named} was due at {_moment(job.next_try_at)}: it is retried now."


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"


def _shown(value: str) -> str:
    return escape(one_line(value))
