"""Reads settings from the environment, `.env` and secret files. Connects to nothing."""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

from dotenv.parser import parse_stream
from pydantic import SecretStr, ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from app.config.lists import parts
from app.config.secret_files import file_variable, read_secret
from app.config.setting_names import intended_settings
from app.config.settings import ENV_FILE, PlatformSettings
from app.errors import Misconfigured

S = TypeVar("S", bound=PlatformSettings)


@cache
def secret_files(kind: type[PlatformSettings]) -> Mapping[str, str]:
    """Returns each secret setting, and the variable that names a file containing it."""
    return {
        name: file_variable(name)
        for name, field in kind.model_fields.items()
        if SecretStr in (field.annotation, *get_args(field.annotation))
    }


@dataclass(frozen=True, slots=True)
class Sources:
    """The variables of the environment and of `.env`, by lower-case name, without empty ones."""

    kind: type[PlatformSettings]
    environment: dict[str, str]
    file: dict[str, str]

    def of(self, field: str) -> str:
        """Returns where the value of a setting comes from: the environment, `.env`, or a path."""
        path = self.secret_file(field)
        if path:
            return path
        if field in self.environment:
            return "environment"
        return ENV_FILE if field in self.file else "default"

    def secret_file(self, field: str) -> str | None:
        """Returns the path of the file that a setting is read from, if it is read from one.

        The environment takes precedence, whether it has the value or names a file.
        """
        variable = secret_files(self.kind).get(field, "")
        for variables in (self.environment, self.file):
            if field in variables:
                return None
            if variable in variables:
                return variables[variable]
        return None


def read_settings_of(kind: type[S]) -> S:
    """Read settings from the environment, `.env`, and the files that these name for secrets.

    Raises:
        Misconfigured: has a line for each invalid setting and each misspelled variable, and never
            contains the value of a secret.

    """
    sources = read_sources(kind)
    errors = [*_empty(sources), *_invalid_lines(), *_misspelled(sources), *_set_twice(sources)]
    secrets, unreadable = _read_secrets(sources)
    errors += unreadable
    try:
        settings = kind(**secrets)
    except ValidationError as error:
        errors += _invalid(error, secrets)
    else:
        if not errors:
            return settings
    raise Misconfigured("\n".join(errors))


def read_logging() -> tuple[str, str]:
    """Returns LOG_LEVEL and LOG_FORMAT, or their defaults if they are invalid.

    Errors in other settings can then be logged in the configured format.
    """
    try:
        sources = read_sources(PlatformSettings)
    except Misconfigured:
        sources = Sources(PlatformSettings, {}, {})
    found = sources.file | sources.environment
    return _valid_or_default("log_level", found), _valid_or_default("log_format", found)


def _valid_or_default(name: str, found: dict[str, str]) -> str:
    field = PlatformSettings.model_fields[name]
    value = found.get(name)
    return value if value and value in get_args(field.annotation) else str(field.default)


def named_modules() -> tuple[str, ...]:
    """Returns MODULES. Read before all other settings, since modules add settings."""
    sources = read_sources(PlatformSettings)
    return parts((sources.file | sources.environment).get("modules", ""))


def read_sources(kind: type[PlatformSettings]) -> Sources:
    """Read all variables, without validating them.

    Raises:
        Misconfigured: `.env` is not text.

    """
    try:
        file = DotEnvSettingsSource(kind).env_vars
    except UnicodeDecodeError:
        raise Misconfigured(f"{ENV_FILE} is not UTF-8 text.") from None
    environment = EnvSettingsSource(kind).env_vars
    return Sources(
        kind,
        {name: value for name, value in environment.items() if value},
        {name: value for name, value in file.items() if value},
    )


def _read_secrets(sources: Sources) -> tuple[dict[str, Any], list[str]]:
    """Returns the secrets that are in files, and a line for each file that cannot be used."""
    secrets: dict[str, Any] = {}
    unreadable: list[str] = []
    for field, variable in secret_files(sources.kind).items():
        path = sources.secret_file(field)
        if path is None:
            continue
        try:
            secrets[field] = SecretStr(read_secret(path))
        except ValueError as why:
            unreadable.append(f"{variable.upper()}: the file {why}.")
    return secrets, unreadable


def _set_twice(sources: Sources) -> Iterator[str]:
    for place, variables in ((f" in {ENV_FILE}", sources.file), ("", sources.environment)):
        for field, variable in secret_files(sources.kind).items():
            if field in variables and variable in variables:
                yield f"{field.upper()} and {variable.upper()} are both set{place}: unset one."


def unknown_in_file(sources: Sources) -> list[str]:
    """Returns the names in `.env` that are not settings, except those in UNRELATED_VARIABLES."""
    unrelated = (name.lower() for name in _unrelated(sources))
    known = {*sources.kind.model_fields, *secret_files(sources.kind).values(), *unrelated}
    return sorted(name.upper() for name in sources.file if name.lower() not in known)


def _empty(sources: Sources) -> Iterator[str]:
    """Yield an error if the database setting is empty: the default would be another database."""
    names = {name.upper() for name, value in os.environ.items() if not value}
    if "DATABASE_URL" in names and "database_url_file" not in sources.environment:
        yield (
            "DATABASE_URL is set and empty: set it to the address of the database, or unset it for "
            "the embedded one."
        )
    if "DATABASE_URL_FILE" in names and "database_url" not in sources.environment:
        yield (
            "DATABASE_URL_FILE is set and empty: set it to the path of a file with the address of "
            "the database, or unset it for the embedded one."
        )


def _invalid_lines() -> Iterator[str]:
    """Yield an error for each line of `.env` that sets nothing: dotenv would silently ignore it."""
    path = Path(ENV_FILE)
    if not path.is_file():
        return
    with path.open(encoding="utf-8-sig") as file:
        for binding in parse_stream(file):
            if binding.error or (binding.key and binding.value is None):
                # The binding includes the empty lines before it.
                text = binding.original.string
                empty = text[: len(text) - len(text.lstrip())].count("\n")
                yield f"{ENV_FILE}, line {binding.original.line + empty}, is not NAME=value."


def _unrelated(sources: Sources) -> set[str]:
    listed = (sources.file | sources.environment).get("unrelated_variables", "")
    return {name.upper() for name in parts(listed)}


def _misspelled(sources: Sources) -> Iterator[str]:
    settings = [field.upper() for field in sources.kind.model_fields]
    files = [variable.upper() for variable in secret_files(sources.kind).values()]
    unrelated = _unrelated(sources)
    for place, variables in ((f" in {ENV_FILE}", sources.file), ("", sources.environment)):
        for variable in sorted({name.upper() for name in variables} - unrelated):
            # Other programs share the environment; `.env` is only for Portico, so it is strict.
            intended = intended_settings(
                variable, settings, files, strict=variables is sources.file
            )
            if intended:
                yield (
                    f"{variable}{place} is not a setting. Did you mean {' or '.join(intended)}? "
                    "If it belongs to another program, add it to UNRELATED_VARIABLES."
                )


def _invalid(error: ValidationError, from_files: Collection[str]) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        field = str(each["loc"][0]) if each["loc"] else "The settings"
        name = field.upper() if each["loc"] else field
        if field in from_files:
            name += f", read from {file_variable(field).upper()},"
        said = each["msg"].removeprefix("Value error, ")
        yield f"{name} {said.replace('Input should', 'must', 1)}."
