"""Runs Alembic from code, and returns the revisions that this code expects."""

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
# Beside the package in the repository, within it in an installed wheel (pyproject.toml).
SCRIPTS = next(
    path / "alembic" for path in (PACKAGE, PACKAGE.parent) if (path / "alembic").exists()
)
# Directories of revisions that modules bring, each a branch of its own.
Branches = NewType("Branches", tuple[Path, ...])
NO_BRANCHES = Branches(())


@dataclass(frozen=True)
class Upgraded:
    """The result of an upgrade."""

    # False if a newer release has migrated the database already.
    newest: bool
    # What is missing but not required, and how to get it.
    note: str | None = None
    # Excess privileges of roles that serve.
    warnings: Sequence[str] = ()


def upgrade(
    url: str,
    grant_to: Sequence[str] = (),
    *,
    retention: bool = False,
    branches: Branches = NO_BRANCHES,
) -> Upgraded:
    """Upgrade a database to the newest revisions; waits for another upgrade that is running.

    Roles that serve already, and those in `grant_to`, are granted the privileges for serving; with
    `retention` the latter may also remove events that retention has announced.

    Raises:
        MigrationBlocked: a long transaction or another schema prevents it.
        Misconfigured: one of the roles cannot be granted anything.
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
    """Returns the newest revision of Portico itself."""
    revision = ScriptDirectory.from_config(config()).get_current_head()
    if revision is None:
        msg = "there are no migrations"
        raise LookupError(msg)
    return revision


@cache
def heads(branches: Branches) -> frozenset[str]:
    """Returns the newest revisions of Portico itself and of each branch."""
    return frozenset(ScriptDirectory.from_config(config(branches=branches)).get_heads())


@cache
def known_revisions(branches: Branches = NO_BRANCHES) -> frozenset[str]:
    """Returns every revision in this code."""
    scripts = ScriptDirectory.from_config(config(branches=branches))
    return frozenset(script.revision for script in scripts.walk_revisions())
