"""What commands that use a database share: its settings, and started services."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pydantic import SecretStr

from app.cli.console import out
from app.composition import Portico
from app.database.embedded import do_nothing, embedded_postgres, embedded_secret, is_new
from app.database.upgrade_at_start import upgrade_at_start
from app.errors import Misconfigured
from app.logs import set_levels
from app.mail.mailer import CONSOLE
from app.modules import branches_of, modules_named
from app.settings import Settings
from app.text.origins import LOOPBACK_ORIGINS

DEFAULT_ADMIN = "admin@example.com"


@contextmanager
def database(
    settings: Settings, meanwhile: Callable[[], object] = do_nothing
) -> Generator[Settings]:
    """Yield settings with a database and a secret, the embedded ones if none are set.

    Sets the log level of the settings. Calls `meanwhile` while an embedded database starts.
    """
    if not settings.embedded and settings.secret_key is None:
        msg = (
            "SECRET_KEY is not set. Make one and keep it: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
        raise Misconfigured(msg)
    with database_alone(settings, meanwhile) as settled:
        key = settled.secret_key or SecretStr(embedded_secret(settings.data_dir))
        yield settled.model_copy(update={"secret_key": key})


@contextmanager
def database_alone(
    settings: Settings, meanwhile: Callable[[], object] = do_nothing
) -> Generator[Settings]:
    """Yield settings with a database, for commands that need no secret.

    Sets the log level of the settings. Calls `meanwhile` while an embedded database starts.
    """
    set_levels(settings.log_level)
    if not settings.embedded:
        yield settings
        return
    postgres = embedded_postgres(settings.data_dir, meanwhile)
    if is_new(settings.data_dir):
        out.print(f"Creating a database in {settings.data_dir}, once. This takes a few seconds …")
    with postgres as url:
        upgrade_at_start(url, branches_of(modules_named(settings.modules)))
        # Defaults that depend on the embedded database are set now: from here on it is a database
        # like any other.
        settled = {"database_url": SecretStr(url), **embedded_values(settings)}
        yield settings.model_copy(update=settled)


def embedded_values(settings: Settings) -> dict[str, Any]:
    """Returns the defaults of settings with the embedded database."""
    return {
        "debug": settings.explore,
        "cors_origins": settings.cors_origins or LOOPBACK_ORIGINS,
        "smtp_url": settings.smtp_url or SecretStr(CONSOLE),
        "first_admin_email": settings.first_admin_email or DEFAULT_ADMIN,
    }


@asynccontextmanager
async def started(portico: Portico) -> AsyncGenerator[Portico]:
    """Yield the services, once their database answers and is migrated."""
    try:
        await portico.start()
        yield portico
    finally:
        await portico.stop()


@asynccontextmanager
async def checked(portico: Portico) -> AsyncGenerator[Portico]:
    """As `started`, but with any secrets: for commands about secrets."""
    try:
        await portico.check()
        yield portico
    finally:
        await portico.stop()


def url_of(settings: Settings) -> str:
    return settings.database_url.get_secret_value() if settings.database_url else ""
