"""`portico schema`: exports the GraphQL schema."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.setup import fail, out
from app.config.sources import named_modules
from app.imports import import_module
from app.modules import modules_named


def schema_export(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the file differs from the code.")
    ] = False,
    path: Annotated[Path, typer.Option(help="The file.")] = Path("schema.graphql"),
) -> None:
    """Write the schema that the code serves, with default limits, to schema.graphql."""
    text = import_module("app.main").default_sdl(modules_named(named_modules()))
    current = path.read_text(encoding="utf-8") if path.exists() else None
    if check:
        if current != text:
            fail(f"{path} differs from the code. Run `portico schema export` and commit it.")
        out.print(f"{path} matches the code.")
        return
    path.write_text(text, encoding="utf-8")
    out.print(f"{path} was {'already up to date' if current == text else 'written'}.")


COMMANDS = typer.Typer(name="schema", help="The GraphQL schema.", no_args_is_help=True)
COMMANDS.command("export")(schema_export)
