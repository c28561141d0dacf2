"""`portico notes`: commands for operators."""

import typer

from app.cli.deferred import runs

COMMANDS = typer.Typer(name="notes", help="Notes of users.", no_args_is_help=True)


@COMMANDS.command()
@runs("my_api.notes.commands.counting")
def count() -> None:
    """Count the notes of all users."""
