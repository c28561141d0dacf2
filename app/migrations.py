"""Runs Alembic from code, and knows which revision this code expects."""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from alembic import command

INI = Path(__file__).parent.parent / "alembic.ini"


def upgrade(url: str) -> None:
    """Bring a database to the newest revision; waits for another one that does the same."""
    command.upgrade(config(url), "head")


def config(url: str | None = None) -> Config:
    settings = Config(INI)
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
