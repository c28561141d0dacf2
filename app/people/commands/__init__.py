"""The command group `portico users`."""

import typer

from app.people.commands import one_user, user_files

COMMANDS = typer.Typer(
    name="users",
    help="Users: administrators, import and export, single users.",
    no_args_is_help=True,
)
COMMANDS.command("create-admin")(user_files.create_admin)
COMMANDS.command("import")(user_files.import_users)
COMMANDS.command("export")(user_files.export_users)
COMMANDS.command("show")(one_user.show)
COMMANDS.command("suspend")(one_user.suspend)
COMMANDS.command("reinstate")(one_user.reinstate)
COMMANDS.command("sessions")(one_user.sessions)
COMMANDS.command("delete")(one_user.delete)
COMMANDS.command("personal-data")(one_user.personal_data)
