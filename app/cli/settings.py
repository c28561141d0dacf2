"""`portico settings`: the values in force and their sources; the table of all settings."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from app.cli.console import err, out
from app.cli.management import DEFAULT
from app.cli.masking import MASK, masked_url
from app.cli.setup import checked, embedded_values
from app.composition import build
from app.config.secret_files import file_variable
from app.config.settings import UNSET
from app.config.sources import Sources, named_modules, read_sources, secret_files
from app.database.database import Database
from app.database.embedded import secret_path
from app.database.errors import explanation
from app.database.outages import remove_values
from app.errors import Misconfigured, Unavailable
from app.factors.services.relying_party import frontend_page, relying_party
from app.keys.services.fleet_secrets import FleetSecrets
from app.modules import modules_named, read_settings, settings_class
from app.settings import Settings

NOT_COMPARED = "SECRET_KEY could not be compared with those of the servers. {reason}"


@dataclass(frozen=True, slots=True)
class InForce:
    """The value of a setting, without secrets. `source` is where it was set, or derived from."""

    value: Any
    source: str
    description: str


def settings(*, as_json: bool, as_markdown: bool) -> None:
    if as_markdown:
        out.print(markdown(), markup=False)
        return
    given = read_settings()
    found = dict(_in_force(given, read_sources(type(given))))
    out.print(_as_json(found) if as_json else _as_text(found), markup=False)
    _warn_of_secrets(given)


def _warn_of_secrets(settings: Settings) -> None:
    """Print to standard error how SECRET_KEY differs from that of servers."""
    if settings.database_url is None or settings.secret_key is None:
        return
    try:
        found = asyncio.run(_difference(settings))
    except Misconfigured as problem:
        found = NOT_COMPARED.format(reason=problem)
    except (SQLAlchemyError, Unavailable, OSError) as problem:
        remove_values(problem)
        found = NOT_COMPARED.format(reason=explanation(problem))
    if found:
        err.print(f"[yellow]Warning[/yellow]   {escape(found)}")


async def _difference(settings: Settings) -> str | None:
    async with checked(build(settings)) as portico, portico.services[Database].begin() as session:
        return (await portico.services[FleetSecrets].read(session)).explanation


def markdown() -> str:
    """Returns the table of docs/operators/settings.md: settings, defaults, what they do."""
    kind = settings_class(modules_named(named_modules()))
    secrets = secret_files(kind)
    rows = (
        f"| {_names(name, is_secret=name in secrets)} | {_default(field)} | {field.description} |"
        for name, field in kind.model_fields.items()
    )
    head = "| name | default | what it does, and what breaks when it is wrong |"
    return "\n".join((head, "|---|---|---|", *rows))


def _names(field: str, *, is_secret: bool) -> str:
    names = [field, file_variable(field)] if is_secret else [field]
    return " or ".join(f"`{name.upper()}`" for name in names)


def _in_force(settings: Settings, sources: Sources) -> Iterator[tuple[str, InForce]]:
    derived = _derived(settings)
    for name, field in type(settings).model_fields.items():
        value, source = getattr(settings, name), sources.of(name)
        if source == "default" and name in derived:
            value, source = derived[name]
        yield name.upper(), InForce(_shown(name, value), source, field.description or "")


def _derived(settings: Settings) -> dict[str, tuple[Any, str]]:
    """Returns the derived values of settings that are not set, and what they follow."""
    derived: dict[str, tuple[Any, str]] = {
        "public_url": (settings.public_url, "follows --host and --port"),
        "frontend_url": (settings.public_url, "follows PUBLIC_URL"),
        "product_name": (settings.product, "follows MAIL_FROM"),
        "debug": (settings.explore, "follows DATABASE_URL"),
        **_derived_of_passkeys(settings),
        "management_address": (DEFAULT, "default"),
    }
    if not settings.embedded:
        return derived
    values = {name: (value, "embedded") for name, value in embedded_values(settings).items()}
    made = {
        "database_url": (f"PostgreSQL in {settings.data_dir}", "embedded"),
        "secret_key": (f"the file {secret_path(settings.data_dir)}", "embedded"),
    }
    return derived | values | made


def _derived_of_passkeys(settings: Settings) -> dict[str, tuple[Any, str]]:
    party = relying_party(settings, settings, settings)
    has_page = frontend_page(settings) is not None
    follows = "FRONTEND_URL" if has_page else "PUBLIC_URL"
    of_both = "FRONTEND_URL and PUBLIC_URL" if has_page else "PUBLIC_URL"
    return {
        "webauthn_rp_id": (party.id, f"follows {follows}"),
        "webauthn_origins": (party.origins, f"follows {of_both}"),
    }


def _shown(name: str, value: object) -> object:
    """Returns the value for JSON, with secrets masked."""
    if isinstance(value, SecretStr):
        return masked_url(value.get_secret_value()) if name.endswith("_url") else MASK
    return str(value) if isinstance(value, Path) else value


def _as_json(settings: dict[str, InForce]) -> str:
    return json.dumps({name: asdict(each) for name, each in settings.items()}, indent=2)


def _as_text(settings: dict[str, InForce]) -> str:
    name_width = max(map(len, settings))
    source_width = max(len(each.source) for each in settings.values())
    return "\n".join(
        f"{name:{name_width}}  {each.source:{source_width}}  {_as_written(each.value)}"
        for name, each in settings.items()
    )


def _default(field: FieldInfo) -> str:
    extra = cast("dict[str, str]", field.json_schema_extra or {})
    if UNSET in extra:
        return extra[UNSET]
    words = _as_written(field.default)
    return f"`{words}`" if isinstance(field.default, str | Path) else words


def _as_written(value: object) -> str:
    """Returns the value as written in the environment; "none" if there is none."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(cast("tuple[str, ...]", value))
    return f"{value:g}" if isinstance(value, float) else str(value)
