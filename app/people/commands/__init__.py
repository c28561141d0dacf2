"""The command group `portico users`: administrators, import and export, single users."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.deferred import runs
from app.people.services.user_formats.systems import Origin

COMMANDS = typer.Typer(
    name="users",
    help="Users: administrators, import and export, single users.",
    no_args_is_help=True,
)

UserArgument = Annotated[
    str, typer.Argument(metavar="USER", help="The address, the id or the subject of the user.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@COMMANDS.command()
@runs("app.people.commands.user_files")
def create_admin(
    email: Annotated[str, typer.Argument(help="The email address.")],
    *,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make a user who has an account an administrator.")
    ] = False,
) -> None:
    """Create an administrator. The password is prompted for, or read from standard input."""


@COMMANDS.command("import")
@runs("app.people.commands.user_files")
def import_users(  # noqa: PLR0913 - each is an option of the command
    file: Annotated[Path, typer.Argument(help="The file to read; - is standard input.")],
    *,
    origin: Annotated[
        Origin, typer.Option("--from", help="The system that wrote the file.")
    ] = Origin.PORTICO,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Change nothing; show what is invalid, with exit code 1."),
    ] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Skip invalid records.")
    ] = False,
    drop_unreadable_hashes: Annotated[
        bool,
        typer.Option(
            "--drop-unreadable-hashes",
            help="Import users whose password hash cannot be verified without a password.",
        ),
    ] = False,
    firebase_signer_key: Annotated[
        str | None,
        typer.Option(
            envvar="FIREBASE_SIGNER_KEY", help="Of the project, in base64: `base64_signer_key`."
        ),
    ] = None,
    firebase_salt_separator: Annotated[
        str, typer.Option(help="Of the project, in base64: `base64_salt_separator`.")
    ] = "Bw==",
    firebase_rounds: Annotated[int, typer.Option(min=1, help="Of the project: `rounds`.")] = 8,
    firebase_mem_cost: Annotated[int, typer.Option(min=1, help="Of the project: `mem_cost`.")] = 14,
) -> None:
    """Import users. A second run adds only what is missing, also after an interruption."""


@COMMANDS.command("export")
@runs("app.people.commands.user_files")
def export_users(
    file: Annotated[Path, typer.Argument(help="The file to write; - is standard output.")],
    *,
    with_password_hashes: Annotated[
        bool,
        typer.Option("--with-password-hashes", help="Include the password hashes, as secrets."),
    ] = False,
) -> None:
    """Export all users, one JSON object per line."""


@COMMANDS.command()
@runs("app.people.commands.one_user")
def show(user: UserArgument, *, as_json: AsJson = False) -> None:
    """Show a user, and whether they can sign in."""


@COMMANDS.command()
@runs("app.people.commands.one_user")
def suspend(
    user: UserArgument,
    *,
    reason: Annotated[str, typer.Option(help="The reason, for administrators to read.")],
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When it ends by itself, such as 2027-01-31T12:00:00Z. Default: never.",
        ),
    ] = None,
) -> None:
    """Suspend a user: their sessions end, and they cannot sign in."""


@COMMANDS.command()
@runs("app.people.commands.one_user")
def reinstate(user: UserArgument) -> None:
    """End the suspension of a user. They can sign in again."""


@COMMANDS.command()
@runs("app.people.commands.one_user")
def reset_factors(
    user: UserArgument,
    *,
    reason: Annotated[str, typer.Option(help="The reason, for the audit.")],
) -> None:
    """Remove the second factors and recovery codes of a user, and end their sessions."""


@COMMANDS.command()
@runs("app.people.commands.one_user")
def delete(
    user: UserArgument, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Delete an account and the personal data in it. An email notifies the user."""


@COMMANDS.command()
@runs("app.people.commands.one_user")
def sessions(
    user: UserArgument,
    *,
    end: Annotated[bool, typer.Option("--end", help="End all of them.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the active sessions of a user, newest first. With --end, end them."""


@COMMANDS.command()
@runs("app.people.commands.one_user")
def personal_data(
    user: UserArgument,
    file: Annotated[Path, typer.Argument(help="The file to write; - is standard output.")],
) -> None:
    """Export the personal data of a user, as one JSON document."""
