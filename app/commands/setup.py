"""What every command begins with: the settings, a database, and one line for what is wrong."""

import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn

from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.markup import escape

from app import migrations
from app.config import Settings
from app.embedded import embedded_postgres, embedded_secret, is_new
from app.errors import Misconfigured
from app.logs import set_levels
from app.mail import CONSOLE
from app.portico import Portico

DEFAULT_ADMIN = "admin@example.com"

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def read_settings() -> Settings:
    """Read the settings, and from here on log as much as they say.

    Raises:
        Misconfigured: says in one line which setting is wrong.

    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "The settings"
        raise Misconfigured(f"{name} {first['msg'].removeprefix('Value error, ')}.") from None
    set_levels(settings.log_level)
    return settings


@contextmanager
def database(settings: Settings) -> Generator[Settings]:
    """Give settings with a database and a secret in them, our own where none are named."""
    if not settings.embedded:
        if settings.secret_key is None:
            msg = (
                "SECRET_KEY is not set. Make one and keep it: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
            )
            raise Misconfigured(msg)
        yield settings
        return
    postgres = embedded_postgres(settings.data_dir)
    if is_new(settings.data_dir):
        out.print(f"Making a database in {settings.data_dir}, once. This takes a few seconds …")
    key = settings.secret_key or SecretStr(embedded_secret(settings.data_dir))
    with postgres as url:
        migrations.upgrade(url)
        # What hangs on being embedded is settled now: from here on it is a database like any other.
        settled = {
            "database_url": SecretStr(url),
            "secret_key": key,
            "debug": settings.explore,
            "smtp_url": settings.smtp_url or SecretStr(CONSOLE),
            "first_admin_email": settings.first_admin_email or DEFAULT_ADMIN,
        }
        yield settings.model_copy(update=settled)


@asynccontextmanager
async def started(portico: Portico) -> AsyncGenerator[Portico]:
    """Give the services once they have found their database there and migrated."""
    try:
        await portico.start()
        yield portico
    finally:
        await portico.stop()


def url_of(settings: Settings) -> str:
    return settings.database_url.get_secret_value() if settings.database_url else ""


def fail(message: str) -> NoReturn:
    err.print(f"[red]portico:[/red] {escape(message)}")
    sys.exit(1)
