"""`portico worker` and `portico jobs`: running what waits, and looking at what failed."""

import asyncio
import signal
from typing import Annotated

import typer
from rich.table import Table

from app.commands.cautions import check_links
from app.commands.setup import database, fail, out, started
from app.config import Settings, read_settings
from app.portico import Portico, build
from app.services.chores import every
from app.services.jobs import Jobs, Retried, SealedElsewhere
from app.services.signing_keys import REFRESH_SECONDS


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
        retried = asyncio.run(_retry(settings, job_id))
    if retried.number or not retried.unreadable:
        out.print(
            f"{_jobs(retried.number)} back in the queue."
            if retried.number
            else "No such job has failed."
        )
    if retried.unreadable:
        lines = (f"Job {each} stays: {SealedElsewhere.words}." for each in retried.unreadable)
        fail("\n".join(lines))


async def _work(settings: Settings) -> None:
    async with started(build(settings)) as portico:
        await portico.readiness.check_writable()
        await portico.keys.refresh()
        work = asyncio.create_task(portico.worker.run())
        keys = asyncio.create_task(every(REFRESH_SECONDS, portico.keys.refresh))
        revoked = asyncio.create_task(_cancel_if_revoked(portico, work))
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, work.cancel)
        out.print("Running jobs. Stop with Ctrl-C.")
        await asyncio.gather(work, return_exceptions=True)
        for chore in (keys, revoked):
            chore.cancel()
        await asyncio.gather(keys, revoked, return_exceptions=True)


async def _cancel_if_revoked(portico: Portico, work: asyncio.Task[None]) -> None:
    await portico.fleet_secrets.revoked.wait()
    work.cancel()


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


async def _retry(settings: Settings, job_id: int | None) -> Retried:
    async with started(build(settings)) as portico:
        return await portico.jobs.retry(None if job_id is None else [job_id])


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"
