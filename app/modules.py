"""The list of modules: Portico's own, and those that the setting MODULES names."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from pydantic_settings import BaseSettings

from app.accounts.module import MODULE as ACCOUNTS
from app.audit.events import EventNames
from app.audit.module import MODULE as AUDIT
from app.config.settings import PlatformSettings
from app.config.sources import named_modules, read_settings_of
from app.database.migrations import Branches
from app.errors import Misconfigured
from app.imports import import_attribute, import_module
from app.jobs.module import MODULE as JOBS
from app.keys.module import MODULE as KEYS
from app.mail.emails import AllEmails
from app.mail.module import MODULE as MAIL
from app.module import Module
from app.people.module import MODULE as PEOPLE
from app.sessions.module import MODULE as SESSIONS
from app.settings import Settings
from app.throttle.module import MODULE as THROTTLE
from app.users.module import MODULE as USERS

MODULES = (USERS, KEYS, THROTTLE, JOBS, MAIL, AUDIT, SESSIONS, ACCOUNTS, PEOPLE)


@cache
def modules_named(names: tuple[str, ...]) -> tuple[Module, ...]:
    """Return Portico's modules and these, with their tables imported.

    Raises:
        Misconfigured: one cannot be imported, or two define something of the same name.

    """
    others = (import_attribute(f"{name}.module", "MODULE", Module) for name in names)
    modules = (*MODULES, *others)
    _check_names(modules)
    for module in modules:
        if module.models is not None:
            import_module(module.models)
    return modules


def branches_of(modules: Iterable[Module]) -> Branches:
    """Return the migrations of all modules."""
    return Branches(tuple(each.migrations for each in modules if each.migrations is not None))


def emails_of(modules: Iterable[Module]) -> AllEmails:
    """Return the emails of all modules."""
    return AllEmails(tuple(each.emails for each in modules if each.emails is not None))


def event_names(modules: Iterable[Module]) -> EventNames:
    """Return the names of all audit events."""
    return EventNames.of(*(each.events for each in modules if each.events is not None))


def settings_class(modules: Iterable[Module]) -> type[Settings]:
    """Return the class of all settings, including those of the modules."""
    declared = [module.settings for module in modules if module.settings is not None]
    mixed_in = [each for each in declared if not issubclass(Settings, each)]
    bases: tuple[type[Any], ...] = (*reversed(mixed_in), Settings)
    kind: Any = type
    return kind("Settings", bases, {"__doc__": Settings.__doc__})


def read_settings() -> Settings:
    """Read the settings of Portico and of the modules that MODULES names.

    Raises:
        Misconfigured: has a line for each error.

    """
    return read_settings_of(settings_class(modules_named(named_modules())))


def _check_names(modules: Sequence[Module]) -> None:
    """Check that no name is defined by two modules, or by a module and the platform."""
    definers = (Module(name="Portico", settings=PlatformSettings), *modules)
    names_by_kind: dict[str, Callable[[Module], Iterable[str]]] = {
        "The module": lambda module: [module.name],
        "The job": lambda module: [each.payload.job for each in module.jobs],
        "The audit event": lambda module: module.events or (),
        "The metric": lambda module: [each.name for each in module.gauges],
        "The setting": lambda module: module.settings.model_fields if module.settings else (),
        "The attribute of settings": _attributes,
    }
    for kind, names_of in names_by_kind.items():
        _check_unique(kind, [(module.name, names_of(module)) for module in definers])


def _check_unique(kind: str, names_by_definer: Iterable[tuple[str, Iterable[str]]]) -> None:
    definers: dict[str, str] = {}
    for definer, names in names_by_definer:
        for name in names:
            if name in definers:
                raise Misconfigured(
                    f"{kind} {name} is defined twice: by {definers[name]} and {definer}"
                )
            definers[name] = definer


def _attributes(module: Module) -> set[str]:
    """Return validators and properties: of two with the same name, the class would keep one."""
    if module.settings is None:
        return set()
    names = set(dir(module.settings)) - set(dir(BaseSettings)) - module.settings.model_fields.keys()
    return {name for name in names if not name.startswith("__")}
