"""Rules of the architecture."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for path in (ROOT / "app").rglob("*.py") if "node_modules" not in path.parts)


def test_imports_run_one_way() -> None:
    linter = Path(sys.executable).parent / "lint-imports"

    result = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_says_what_it_is(path: Path) -> None:
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


def test_only_the_database_module_commits() -> None:
    assert [path.name for path in MODULES if ".commit(" in path.read_text(encoding="utf-8")] == [
        "database.py"
    ]


JOINED_AS_THE_DATABASE_DOES = "app/security/evidence.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_hashed_is_never_joined_by_hand(path: Path) -> None:
    """`keys.mac` and `keys.digest` take parts and encode them unambiguously."""
    if path.relative_to(ROOT).as_posix() == JOINED_AS_THE_DATABASE_DOES:
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
def test_connections_are_made_in_one_place_where_any_failure_is_an_outage(path: Path) -> None:
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
