"""The set-up that is checked: the settings, and a connection to their database."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from app.cli.setup import embedded_values, url_of
from app.clock import Clock, system_clock
from app.database.database import Database, Link, connect
from app.database.embedded import embedded_postgres, is_new, secret_path
from app.database.libpq.database_url import DatabaseUrl, read_database_url
from app.database.revisions import Branches
from app.errors import Misconfigured
from app.modules import branches_of, modules_named
from app.settings import Settings

# The least that DATABASE_POOL_SIZE may be: reads and units of work divide them. Checks open few of
# them at once, since the server may have few free ones.
CONNECTIONS = 5
STATEMENT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class SetUp:
    """The settings as they were read, and with the values of the embedded database."""

    given: Settings
    settings: Settings
    # None before the first start on the embedded database.
    database: Database | None
    clock: Clock = system_clock

    @property
    def db(self) -> Database:
        if self.database is None:
            raise LookupError("the set-up has no database")
        return self.database

    @property
    def branches(self) -> Branches:
        return branches_of(modules_named(self.given.modules))

    @property
    def address(self) -> DatabaseUrl:
        return read_database_url(url_of(self.settings), os.environ)


def linked(settings: Settings, url: str, *, prepared: bool) -> Link:
    """Connect to a database, with timeouts so that checks do not hang."""
    seconds = min(STATEMENT_SECONDS, settings.database_timeout_seconds)
    return connect(url, pool_size=CONNECTIONS, timeout_seconds=seconds, prepared=prepared)


def opened(settings: Settings, url: str) -> Database:
    """Returns a database that works through any pooler: statements are not prepared."""
    return Database(linked(settings, url, prepared=False), pool_size=CONNECTIONS)


@contextmanager
def set_up(given: Settings) -> Generator[SetUp]:
    """Yield the set-up. The embedded database is started or shared, and never created.

    Raises:
        Misconfigured: the embedded database is not part of this installation, or does not start;
            or a file that DATABASE_URL names cannot be used.

    """
    if not given.embedded:
        yield SetUp(given, given, opened(given, url_of(given)))
        return
    settings = given.model_copy(update=embedded_values(given) | {"secret_key": _secret(given)})
    if is_new(given.data_dir):
        yield SetUp(given, settings, None)
        return
    with embedded_postgres(given.data_dir) as url:
        settings = settings.model_copy(update={"database_url": SecretStr(url)})
        yield SetUp(given, settings, opened(given, url))


def _secret(given: Settings) -> SecretStr | None:
    """Returns the secret, without creating one."""
    if given.secret_key is not None:
        return given.secret_key
    path: Path = secret_path(given.data_dir)
    try:
        return SecretStr(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}.") from None
