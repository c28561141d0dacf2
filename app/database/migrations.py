"""Runs Alembic from code, and knows which revision this code expects."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NewType

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError

from alembic import command

PACKAGE = Path(__file__).parent.parent
# Beside the package in the repository, within it where a wheel was installed (pyproject.toml).
SCRIPTS = next(
    path / "alembic" for path in (PACKAGE, PACKAGE.parent) if (path / "alembic").exists()
)
# Directories of revisions that modules bring, each a branch of its own.
Branches = NewType("Branches", tuple[Path, ...])
NO_BRANCHES = Branches(())


@dataclass(frozen=True)
class Upgraded:
    """What became of a database."""

    # Not where a newer release has already been there: its revision is not known here.
    newest: bool
    # What is missing that Portico can do without, and how to get it.
    note: str | None = None
    # What roles that serve can do beyond serving.
    warnings: Sequence[str] = ()


def upgrade(
    url: str,
    grant_to: Sequence[str] = (),
    *,
    retention: bool = False,
    branches: Branches = NO_BRANCHES,
) -> Upgraded:
    """Bring a database to the newest revisions; waits for another one that does the same.

    Roles that serve already, and those in `grant_to`, are given what serving on it takes; with
    `retention` the latter may also remove events that retention has announced.

    Raises:
        MigrationBlocked: a long transaction is in the way, or another schema.
        Misconfigured: one of the roles cannot be given anything.
        Unavailable: the database does not answer.
        DBAPIError: the database refuses.

    """
    settings = config(url, branches)
    settings.attributes.update(grant_to=grant_to, retention=retention)
    try:
        command.upgrade(settings, "heads")
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise
        return Upgraded(newest=False)
    attributes = settings.attributes
    return Upgraded(
        newest=True, note=attributes.get("note"), warnings=tuple(attributes.get("warnings", ()))
    )


def config(url: str | None = None, branches: Branches = NO_BRANCHES) -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    places = os.pathsep.join(map(str, (SCRIPTS / "versions", *branches)))
    settings.set_main_option("version_locations", places.replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    settings.attributes["url"] = url
    return settings


@cache
def head() -> str:
    """Return the newest revision of the house."""
    revision = ScriptDirectory.from_config(config()).get_current_head()
    if revision is None:
        msg = "there are no migrations"
        raise LookupError(msg)
    return revision


@cache
def heads(branches: Branches) -> frozenset[str]:
    """Return the newest revision of the house, and of each branch."""
    return frozenset(ScriptDirectory.from_config(config(branches=branches)).get_heads())


@cache
def known(branches: Branches = NO_BRANCHES) -> frozenset[str]:
    """Return every revision that this code has."""
    scripts = ScriptDirectory.from_config(config(branches=branches))
    return frozenset(script.revision for script in scripts.walk_revisions())
