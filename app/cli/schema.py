"""`portico schema`: exports the GraphQL schema."""

from pathlib import Path

from app.cli.console import fail, out
from app.config.sources import named_modules
from app.imports import import_module
from app.modules import modules_named


def export(*, check: bool, path: Path) -> None:
    text = import_module("app.main").default_sdl(modules_named(named_modules()))
    current = path.read_text(encoding="utf-8") if path.exists() else None
    if check:
        if current != text:
            fail(f"{path} differs from the code. Run `portico schema export` and commit it.")
        out.print(f"{path} matches the code.")
        return
    path.write_text(text, encoding="utf-8")
    out.print(f"{path} was {'already up to date' if current == text else 'written'}.")
