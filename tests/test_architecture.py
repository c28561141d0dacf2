"""Rules of the architecture."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.modules import MODULES as MODULES_OF_PORTICO

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for path in (ROOT / "app").rglob("*.py") if "node_modules" not in path.parts)


def test_imports_run_one_way() -> None:
    linter = Path(sys.executable).parent / "lint-imports"

    result = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout


def contract(key: str, named: str) -> Any:
    """Returns the contract of import-linter that lists a name under a key."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    return next(each for each in contracts if named in each.get(key, ()))


def layers_of(path: str) -> set[str]:
    """Returns the layers of the contract that contains this path."""
    layers: list[str] = contract("layers", path)["layers"]
    return {each for layer in layers for each in layer.split(" | ")}


def with_layer(layer: str) -> set[str]:
    """Returns the paths of this layer in all modules that have it."""
    return {
        f"app.{each.name}.{layer}"
        for each in MODULES_OF_PORTICO
        if any((ROOT / "app" / each.name).glob(f"{layer}*"))
    }


def test_the_contracts_of_imports_name_every_module() -> None:
    modules = {f"app.{each.name}" for each in MODULES_OF_PORTICO}
    assert set(contract("containers", "app.users")["containers"]) == modules
    for layer in ("schema", "services", "models"):
        assert layers_of(f"app.users.{layer}") == with_layer(layer)
    assert modules <= set(contract("forbidden_modules", "app.users")["forbidden_modules"])


# Packages that may import modules: helpers of their schemas, commands, and helpers of tests.
PACKAGES_ABOVE_MODULES = {"app.graphql", "app.cli", "app.testing"}


def test_every_other_package_imports_no_module() -> None:
    packages = {f"app.{path.parent.name}" for path in (ROOT / "app").glob("*/__init__.py")}
    modules = {f"app.{each.name}" for each in MODULES_OF_PORTICO}
    platform = contract("forbidden_modules", "app.users")["source_modules"]

    assert packages - modules - PACKAGES_ABOVE_MODULES == set(platform)


# Maps that are read with a default.
PARTIAL = {
    "app.database.migration_plan.BYTES_PER_SECOND",
    "app.engine.error_texts.GENERIC",
    "app.sessions.schema.sessions.MESSAGES",
    "app.sessions.services.session_tokens.REFERENCES",
}


def test_a_map_with_enum_members_as_keys_has_all_of_them() -> None:
    names = (path.relative_to(ROOT).with_suffix("").parts for path in MODULES)
    modules = [import_module(".".join(each)) for each in names if "testing" not in each]

    incomplete = {name for module in modules for name in incomplete_maps(module)}

    assert incomplete - PARTIAL == set()


def incomplete_maps(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        if isinstance(value, Mapping):
            keys: set[Any] = {*value}
            kinds = {type(key) for key in keys if isinstance(key, Enum)}
            if any(set(kind) - keys for kind in kinds):
                yield f"{module.__name__}.{name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_are_at_the_top_and_absolute(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    within = [
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    relative = [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert (within, relative) == ([], [])
    assert "TYPE_CHECKING" not in path.read_text(encoding="utf-8")


# By a method of a library, or by a statement.
COMMITS = re.compile(r"\.commit\(|[\"']COMMIT\b")


def test_only_the_database_module_commits() -> None:
    assert [path.name for path in MODULES if COMMITS.search(path.read_text(encoding="utf-8"))] == [
        "database.py"
    ]


JOINED_LIKE_THE_DATABASE = "app/security/evidence.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_hashed_parts_are_never_joined_by_hand(path: Path) -> None:
    """`keys.mac` and `keys.digest` take parts and encode them unambiguously."""
    if path.relative_to(ROOT).as_posix() == JOINED_LIKE_THE_DATABASE:
        return
    hashed = [
        argument
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and called(node) in {"mac", "digest", "sha256", "sha1", "md5"}
        for argument in node.args
    ]

    assert [ast.unparse(each) for each in hashed if joins(each)] == []


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)


def joins(argument: ast.expr) -> bool:
    return any(
        isinstance(node, ast.BinOp | ast.JoinedStr)
        or (isinstance(node, ast.Call) and called(node) in {"join", "format"})
        for node in ast.walk(argument)
    )


def test_the_migrations_are_not_a_package() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


OPENS_CONNECTIONS = "app/database/connector.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_connections_are_opened_in_one_place_where_any_failure_is_an_outage(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() == OPENS_CONNECTIONS:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    opened = [
        ast.unparse(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and called(node).endswith(("create_engine", "create_async_engine", "create_pool"))
    ]
    drivers = [ast.unparse(node) for node in ast.walk(tree) if imports_driver(node)]

    assert (opened, drivers) == ([], [])


def imports_driver(node: ast.AST) -> bool:
    """Whether it imports the driver; its exceptions may be imported anywhere."""
    return (
        isinstance(node, ast.Import)
        and any(each.name in {"asyncpg", "psycopg", "psycopg2"} for each in node.names)
    ) or (isinstance(node, ast.ImportFrom) and node.module == "asyncpg")
