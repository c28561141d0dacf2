"""The command group `portico keys`: signing keys, secrets, and what to do after a leak of one."""

from typing import Annotated

import typer

from app.cli.deferred import runs

COMMANDS = typer.Typer(
    name="keys",
    help="The keys that sign access tokens, and SECRET_KEY.",
    invoke_without_command=True,
)


@runs("app.keys.commands.keys_and_secrets")
def show() -> None:
    """Show them."""


@COMMANDS.callback()
def keys(context: typer.Context) -> None:
    """Show the signing keys, and the secrets of servers."""
    if context.invoked_subcommand is None:
        show()


@COMMANDS.command()
@runs("app.keys.commands.keys_and_secrets")
def rotate(
    *,
    at_once: Annotated[
        bool, typer.Option("--now", help="Sign with it at once, before every cached JWKS has it.")
    ] = False,
) -> None:
    """Publish a new key, and sign with it once every cached JWKS has it."""


@COMMANDS.command()
@runs("app.keys.commands.keys_and_secrets")
def compromised(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """After a leak of SECRET_KEY: end all that it protects. Set the new SECRET_KEY alone."""
