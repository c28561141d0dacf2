"""Runs Alembic from code, and knows which revision this code expects."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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


@dataclass(frozen=True)
class Upgraded:
    """What became of a database."""

    # Not where a newer release has already been there: its revision is not known here.
    newest: bool
    # What is missing that Portico can do without, and how to get it.
    note: str | None = None
    # What roles that serve can do beyond serving.
    warnings: Sequence[str] = ()


def upgrade(url: str, grant_to: Sequence[str] = (), *, retention: bool = False) -> Upgraded:
    """Bring a database to the newest revision; waits for another one that does the same.

    Roles that serve already, and those in `grant_to`, are given what serving on it takes; with
    `retention` the latter may also remove events that retention has announced.

    Raises:
        Hindered: a long transaction is in the way, or another schema.
        Misconfigured: one of the roles cannot be given anything.
        Unavailable: the database does not answer.
        DBAPIError: the database refuses.

    """
    settings = config(url)
    settings.attributes.update(grant_to=grant_to, retention=retention)
    try:
        command.upgrade(settings, "head")
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise
        return Upgraded(newest=False)
    attributes = settings.attributes
    return Upgraded(
        newest=True, note=attributes.get("note"), warnings=tuple(attributes.get("warnings", ()))
    )


def config(url: str | None = None) -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    settings.attributes["url"] = url
    return settings


@cache
def head() -> str:
    revision = ScriptDirectory.from_config(config()).get_current_head()
    if revision is None:
        msg = "there are no migrations"
        raise LookupError(msg)
    return revision


@cache
def known() -> frozenset[str]:
    """Every revision that this code has."""
    scripts = ScriptDirectory.from_config(config())
    return frozenset(script.revision for script in scripts.walk_revisions())
