"""Runs Alembic from code."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util import CommandError

from alembic import command
from app.database.after_upgrade import LastSteps
from app.database.revisions import NO_BRANCHES, SCRIPTS, VERSIONS, Branches


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
    last: LastSteps | None = settings.attributes.get("last_steps")
    if last is None:
        return Upgraded(newest=True)
    return Upgraded(newest=True, note=last.note, warnings=last.warnings)


def config(url: str | None = None, branches: Branches = NO_BRANCHES) -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    places = os.pathsep.join(map(str, (VERSIONS, *branches)))
    settings.set_main_option("version_locations", places.replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    settings.attributes["url"] = url
    return settings
