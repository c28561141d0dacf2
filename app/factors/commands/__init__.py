"""The command group `portico passkeys`: removes those of a domain that is no longer used."""

from typing import Annotated

import typer

from app.cli.deferred import runs

COMMANDS = typer.Typer(
    name="passkeys",
    help="Passkeys: removes those of a domain that is no longer used.",
    no_args_is_help=True,
)


@COMMANDS.command()
@runs("app.factors.commands.passkeys_of_domain")
def remove(
    *,
    rp_id: Annotated[
        str,
        typer.Option(
            "--rp-id", metavar="DOMAIN", help="The domain: not the one of this server's settings."
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove all passkeys of another domain than this server's, which no server accepts."""
