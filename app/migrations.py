"""Runs Alembic from code, and knows which revision this code expects."""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError

from alembic import command

PACKAGE = Path(__file__).parent
# Beside the package in the repository, within it where a wheel was installed (pyproject.toml).
SCRIPTS = next(
    path / "alembic" for path in (PACKAGE, PACKAGE.parent) if (path / "alembic").exists()
)


def upgrade(url: str) -> bool:
    """Bring a database to the newest revision; waits for another one that does the same.

    False where a newer release has already been there: its revision is not known here.

    Raises:
        Hindered: a long transaction is in the way.

    """
    try:
        command.upgrade(config(url), "head")
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise
        return False
    return True


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
