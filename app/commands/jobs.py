"""`portico worker` and `portico jobs`: running what waits, and looking at what failed."""

import asyncio
import signal
from types import FrameType
from typing import Annotated

import typer
from rich.table import Table

from app.commands.cautions import check_links
from app.commands.setup import database, fail, out, started
from app.config import Settings, read_settings
from app.forced_exit import exit_within
from app.portico import build
from app.services.jobs import Jobs
from app.services.worker import STOP_SECONDS

# After a running job has had its time: for the connections to close.
CLOSING_SECONDS = 2


def worker() -> None:
    """Run jobs, apart from the server. Stop it with Ctrl-C: a running job may finish."""
    given = read_settings()
    caution = check_links(given)
    if caution:
        out.print(f"[yellow]Warning[/yellow]   {caution}")
    with database(given) as settings:
        asyncio.run(_work(settings))


def jobs(context: typer.Context) -> None:
    """Show what waits, and what is kept because it kept failing."""
    if context.invoked_subcommand is None:
        with database(read_settings()) as settings:
            asyncio.run(_show(settings))


def retry(
    job_id: Annotated[int | None, typer.Argument(help="The job; all with --all.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that are kept.")] = False,
) -> None:
    """Put what had failed back into the queue."""
    if (job_id is None) != everything:
        fail("Name a job, or say --all.")
    with database(read_settings()) as settings:
        number = asyncio.run(_retry(settings, job_id))
    out.print(f"{_jobs(number)} back in the queue." if number else "No such job has failed.")


async def _work(settings: Settings) -> None:
    async with started(build(settings)) as portico:
        await portico.readiness.check_writable()
        work = asyncio.create_task(portico.worker.run())
        _cancel_on_signals(work)
        out.print("Running jobs. Stop with Ctrl-C.")
        await asyncio.gather(work, return_exceptions=True)


def _cancel_on_signals(work: asyncio.Task[None]) -> None:
    """Let SIGTERM and SIGINT end the work, and the process in time also if a job hangs."""
    loop = asyncio.get_running_loop()
    is_stopping = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal is_stopping
        at_once = is_stopping and number == signal.SIGINT
        exit_within(CLOSING_SECONDS if at_once else STOP_SECONDS + CLOSING_SECONDS)
        if not is_stopping:
            is_stopping = True
            loop.call_soon_threadsafe(work.cancel)

    # Not the loop's own handlers: a loop that hangs would not call them.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)


async def _show(settings: Settings) -> None:
    async with started(build(settings)) as portico:
        waiting = await portico.jobs.waiting()
        out.print(", ".join(f"{number} {state}" for state, number in waiting.items()) or "0 queued")
        await _show_failed(portico.jobs)


async def _show_failed(jobs: Jobs) -> None:
    failed = await jobs.failed()
    if not failed:
        out.print("None has failed.")
        return
    table = Table("job", "name", "made", "last tried", "tries", "failed with", box=None)
    for job in failed:
        times = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (job.created_at, job.last_tried_at))
        table.add_row(str(job.id), job.name, *times, str(job.tries + 1), job.failure or "")
    out.print(table)
    out.print(f"{_jobs(len(failed))} kept. `portico jobs retry ID` or `--all` tries them again.")


async def _retry(settings: Settings, job_id: int | None) -> int:
    async with started(build(settings)) as portico:
        return await portico.jobs.retry(None if job_id is None else [job_id])


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"
