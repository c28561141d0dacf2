"""Libraries that a command loads: those of the API only if it serves or exports the schema."""

import os
import subprocess
import sys

import pytest

# Libraries of the API and its server, and of telemetry, which is sent only to a collector.
OF_THE_API = {"strawberry", "graphql", "fastapi", "starlette", "uvicorn", "httptools"}
OF_TELEMETRY = {"opentelemetry.sdk", "opentelemetry.exporter"}
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
    """Run a command in a separate process; returns which of these libraries it loaded."""
    command = [sys.executable, "-c", LOADED, *arguments]
    values = os.environ | environment
    done = subprocess.run(command, env=values, capture_output=True, text=True, check=False)
    loaded = set(done.stderr.splitlines())
    assert "app.cli.main" in loaded, done.stderr
    return loaded & (OF_THE_API | OF_TELEMETRY)


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("db", "upgrade"), ("doctor",), ("jobs",), ("users", "show", "a@example.com")],
    ids=" ".join,
)
def test_a_command_loads_no_library_of_the_api(
    arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    assert loaded_by(*arguments, **environment) == set()
