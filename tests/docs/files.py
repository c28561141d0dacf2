"""Checks files that documents show, by what reads files of their language."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock

import yaml
from jinja2 import Environment, TemplateSyntaxError

from tests.docs.places import ROOT
from tests.docs.shell import Failed

SECONDS = 120
# Pages run at the same time, and `npm ci` removes what another one has just installed.
_INSTALLING = Lock()
TYPESCRIPT = (".ts", ".tsx")
# What a new project of Vite, Next or Node is checked with, or stricter.
TSC = (
    "--ignoreConfig",
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--target",
    "es2023",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
    "--jsx",
    "react-jsx",
    "--verbatimModuleSyntax",
    "--erasableSyntaxOnly",
    "--noUncheckedIndexedAccess",
    "--moduleDetection",
    "force",
)
CLIENTS = ROOT / ".ci" / "clients"


def parse(language: str, text: str) -> None:
    """Read a file as the program does that it is for.

    Raises:
        Failed: It is not one.

    """
    check = PARSERS.get(language)
    if check is not None:
        check(text)


def python_of(directory: Path) -> str:
    """Returns the Python of the environment that a page has made, or else this one."""
    own = directory / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def check_python(file: Path, python: str) -> None:
    """Hold a Python file to its types, and those of what is installed for `python`."""
    pyright = [sys.executable, "-m", "pyright", "--pythonpath", python]
    _run([*pyright, str(file)], file.parent)


def check_package(written: Sequence[Path], python: str) -> None:
    """Hold the files of a Python package to their types, all at once: they import each other."""
    sources = [str(file) for file in written if file.suffix == ".py" and _is_in_package(file)]
    if sources:
        pyright = [sys.executable, "-m", "pyright", "--pythonpath", python]
        _run([*pyright, *sources], Path(python).parents[2])


def _is_in_package(file: Path) -> bool:
    return (file.parent / "__init__.py").exists()


def changed(text: str, diff: str) -> str:
    """Returns a text with the changes of a diff: each of its parts, separated by `@@`, once.

    Raises:
        Failed: The text does not have the lines that a part shows as they were.

    """
    for part in re.split(r"^@@.*\n", diff, flags=re.MULTILINE):
        before, after = _side(part, "-"), _side(part, "+")
        if text.count(before) != 1:
            raise Failed(f"{text.count(before)} places of the file have these lines:\n{before}")
        text = text.replace(before, after)
    return text


def _side(part: str, mark: str) -> str:
    lines = part.splitlines(keepends=True)
    return "".join(line if line == "\n" else line[1:] for line in lines if line[0] in f" \n{mark}")


def compile_typescript(files: Sequence[Path]) -> None:
    """Compile TypeScript with the packages that the page has installed beside it.

    What a page shows without installing any uses nothing but the language.
    """
    for file in files:
        if file.suffix in TYPESCRIPT:
            _run([_tsc(file), *TSC, str(file)], file.parent)


def _tsc(file: Path) -> str:
    for folder in file.parents:
        own = folder / "node_modules" / ".bin" / "tsc"
        if own.exists():
            return str(own)
    pinned = CLIENTS / "node_modules" / ".bin" / "tsc"
    with _INSTALLING:
        if not pinned.exists():
            _run(["npm", "ci", "--silent"], CLIENTS)
    return str(pinned)


def _json(text: str) -> None:
    """Read one document, or one on each line."""
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            _parsed(json.loads, line)


def _toml(text: str) -> None:
    _parsed(tomllib.loads, text)


def _yaml(text: str) -> None:
    try:
        list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise Failed(str(error)) from None


def _parsed(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except ValueError as error:
        raise Failed(str(error)) from None


def _jinja(text: str) -> None:
    try:
        Environment(autoescape=True).parse(text)
    except TemplateSyntaxError as error:
        raise Failed(f"line {error.lineno}: {error.message}") from None


def _caddy(text: str) -> None:
    _with_file("Caddyfile", text, "caddy", "adapt", "--validate", "--config")


def _nginx(text: str) -> None:
    _with_file("nginx.conf", f"events {{}}\nhttp {{\n{text}}}\n", "nginx", "-t", "-c")


def _with_file(name: str, text: str, *command: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_text(text, encoding="utf-8")
        _run([*command, str(file)], Path(folder))


def _run(command: Sequence[str], directory: Path) -> None:
    program = shutil.which(command[0], path=None)
    if program is None:
        raise Failed(f"needs {command[0]}")
    done = subprocess.run(
        [program, *command[1:]],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"{done.stdout}{done.stderr}")


PARSERS: Mapping[str, Callable[[str], None]] = {
    "json": _json,
    "toml": _toml,
    "jinja": _jinja,
    "yaml": _yaml,
    "caddy": _caddy,
    "nginx": _nginx,
}
