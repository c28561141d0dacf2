"""The command group `portico jobs`: shows queued and failed jobs, and retries them."""

from typing import Annotated

import typer

from app.cli.deferred import runs

COMMANDS = typer.Typer(name="jobs", help="The queue of jobs.", invoke_without_command=True)


@runs("app.jobs.commands.queue")
def show() -> None:
    """Show the queue."""


@COMMANDS.callback()
def jobs(context: typer.Context) -> None:
    """Show queued jobs, jobs that wait for their next try, and failed jobs."""
    if context.invoked_subcommand is None:
        show()


@COMMANDS.command()
@runs("app.jobs.commands.queue")
def retry(
    job_id: Annotated[
        int | None, typer.Argument(help="A job that failed, or waits for its next try.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All failed jobs.")] = False,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="All jobs that wait for their next try.")
    ] = False,
) -> None:
    """Retry jobs now that failed or wait for their next try."""
