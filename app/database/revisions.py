"""The revisions of migrations that this code has, read from their files.

Alembic, which runs them, imports each file. Serving needs only their names: without Alembic and
what it imports, a server starts a tenth of a second earlier and takes 8 MB less.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NewType

from app.errors import Misconfigured

PACKAGE = Path(__file__).parent.parent
# Beside the package in the repository, within it in an installed wheel (pyproject.toml).
SCRIPTS = next(
    path / "alembic" for path in (PACKAGE, PACKAGE.parent) if (path / "alembic").exists()
)
# Portico's own.
VERSIONS = SCRIPTS / "versions"
# Directories of revisions that modules bring, each a branch of its own.
Branches = NewType("Branches", tuple[Path, ...])
NO_BRANCHES = Branches(())
# The names by which Alembic finds its place among the others.
REVISION, DOWN_REVISION = "revision", "down_revision"
NOT_PLAIN = f"{{file}}: {REVISION} and {DOWN_REVISION} must be written as plain text"


class Revision(NamedTuple):
    """A revision, and those that it directly follows: several after a merge."""

    name: str
    follows: tuple[str, ...]


def head() -> str:
    """Returns the newest revision of Portico itself."""
    (newest,) = heads(NO_BRANCHES)
    return newest


def heads(branches: Branches) -> frozenset[str]:
    """Returns the newest revisions of Portico itself and of each branch."""
    followed = {each for revision in _revisions(branches) for each in revision.follows}
    return known_revisions(branches) - followed


def known_revisions(branches: Branches = NO_BRANCHES) -> frozenset[str]:
    """Returns every revision in this code."""
    return frozenset(revision.name for revision in _revisions(branches))


@cache
def _revisions(branches: Branches) -> tuple[Revision, ...]:
    files = (file for directory in (VERSIONS, *branches) for file in sorted(directory.glob("*.py")))
    return tuple(revision for file in files for revision in _in_file(file))


def _in_file(file: Path) -> Iterator[Revision]:
    """Yield the revision of a file, if it is one.

    Raises:
        Misconfigured: its revision is not a plain value.

    """
    found = dict(_assigned(ast.parse(file.read_bytes(), file)))
    try:
        values = {name: ast.literal_eval(value) for name, value in found.items()}
    except ValueError:
        raise Misconfigured(NOT_PLAIN.format(file=file)) from None
    if REVISION in values:
        yield Revision(values[REVISION], _follows(values))


def _assigned(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield what a file assigns to the two names, with or without annotations."""
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value):
                pass
            case _:
                continue
        if name in (REVISION, DOWN_REVISION):
            yield name, value


def _follows(values: Mapping[str, Any]) -> tuple[str, ...]:
    before = values.get(DOWN_REVISION)
    if before is None:
        return ()
    return (before,) if isinstance(before, str) else tuple(before)
