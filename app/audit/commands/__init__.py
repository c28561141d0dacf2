"""The command group `portico audit`: verifies the audit, and exports its checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.deferred import runs

COMMANDS = typer.Typer(
    name="audit", help="Verify the audit and export its checkpoints.", no_args_is_help=True
)
CHECKPOINTS = typer.Typer(
    name="checkpoints", help="Copies of the checkpoints of the audit.", no_args_is_help=True
)
COMMANDS.add_typer(CHECKPOINTS)

AGAINST_HELP = "Compare with a file that `portico audit checkpoints export` wrote."
FILE_HELP = "The file to write or to continue; - is standard output."


@COMMANDS.command()
@runs("app.audit.commands.integrity")
def verify(
    *,
    against: Annotated[Path | None, typer.Option(metavar="FILE", help=AGAINST_HELP)] = None,
) -> None:
    """Verify the audit: every event, chain and signature. Does not block writers."""


@CHECKPOINTS.command()
@runs("app.audit.commands.integrity")
def export(
    file: Annotated[Path, typer.Argument(help=FILE_HELP)],
) -> None:
    """Append new checkpoints to a file, one line of JSON each.

    Keep the file where operators of the database cannot change it. Each line is verified with the
    public key in it, without SECRET_KEY.
    """
