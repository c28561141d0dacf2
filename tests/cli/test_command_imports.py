"""Libraries that a command loads: only those that it needs, and none for its help."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from app.testing.commands import CLI

# Libraries of the API and its server, and of telemetry, which is sent only to a collector.
OF_THE_API = {"strawberry", "graphql", "fastapi", "starlette", "uvicorn", "httptools"}
OF_TELEMETRY = {"opentelemetry.sdk", "opentelemetry.exporter"}
# Those that take longest to load, beside the API's.
OF_SERVICES = {"sqlalchemy", "asyncpg", "alembic", "pgqueuer", "jinja2", "passlib", "cryptography"}
FOR_PASSWORDS = {"app.security.password_strength", "httpx"}
HEAVY = OF_THE_API | OF_TELEMETRY | OF_SERVICES | FOR_PASSWORDS | {"app.modules", "app.composition"}
LOADED = """
import sys
from app.cli.main import main

sys.argv = ["portico", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules, sep="\\n", file=sys.stderr)
"""


def loaded_by(*arguments: str, **environment: str) -> set[str]:
    """Run a command in a separate process; returns the modules that it loaded."""
    command = [sys.executable, "-c", LOADED, *arguments]
    values = os.environ | environment
    done = subprocess.run(command, env=values, capture_output=True, text=True, check=False)
    loaded = set(done.stderr.splitlines())
    assert "app.cli.main" in loaded, done.stderr
    return loaded


def commands_in(group: TyperGroup, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield each command, as it is typed after `portico`."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands_in(command, *path, name)
        else:
            assert isinstance(command, TyperCommand)
            yield (*path, name)


@pytest.mark.parametrize(
    "arguments",
    [("db", "upgrade"), ("doctor",), ("jobs",), ("users", "show", "a@example.com")],
    ids=" ".join,
)
def test_a_command_loads_no_library_of_the_api(
    arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    assert loaded_by(*arguments, **environment) & (OF_THE_API | OF_TELEMETRY) == set()


def test_a_command_on_a_migrated_database_loads_no_alembic(environment: dict[str, str]) -> None:
    assert "alembic" not in loaded_by("jobs", **environment)


def test_only_an_embedded_database_that_is_to_be_upgraded_loads_alembic(tmp_path: Path) -> None:
    arguments = ("users", "show", "nobody@example.com")
    assert "alembic" in loaded_by(*arguments, DATA_DIR=str(tmp_path))
    assert "alembic" not in loaded_by(*arguments, DATA_DIR=str(tmp_path))


@pytest.mark.parametrize("arguments", [(), *commands_in(get_group(CLI))], ids=" ".join)
def test_help_loads_neither_services_nor_the_api(arguments: tuple[str, ...]) -> None:
    assert loaded_by(*arguments, "--help") & HEAVY == set()


def test_help_loads_no_services_of_other_modules() -> None:
    loaded = loaded_by("notes", "count", "--help", MODULES="my_api.notes")
    assert loaded & (HEAVY | {"my_api.notes.module", "my_api.notes.models"}) == set()


def test_the_application_is_not_visited_by_garbage_collections() -> None:
    code = """
import gc
from app.imports import import_module
import_module("app.main")
print(gc.isenabled(), len(gc.get_objects()) < gc.get_freeze_count() / 100)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
