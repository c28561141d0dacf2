"""Runs Alembic from code, and knows which revision this code expects."""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from alembic import command

PACKAGE = Path(__file__).parent
# Beside the package in the repository, within it where a wheel was installed (pyproject.toml).
SCRIPTS = next(
    path / "alembic" for path in (PACKAGE, PACKAGE.parent) if (path / "alembic").exists()
)


def upgrade(url: str) -> None:
    """Bring a database to the newest revision; waits for another one that does the same."""
    command.upgrade(config(url), "head")


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
