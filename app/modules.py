"""The definitions of modules: Portico's own, and those that the setting MODULES names."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from pydantic_settings import BaseSettings

from app.audit.events import EventNames
from app.config.settings import PlatformSettings
from app.config.sources import named_modules, read_settings_of
from app.database.base import AllTables, Base
from app.database.revisions import Branches
from app.errors import Misconfigured
from app.imports import import_attribute, import_module
from app.mail.emails import AllEmails
from app.module import Module
from app.module_paths import PORTICO
from app.settings import Settings
from app.throttle.attempts import AllBudgets, Attempt, Budget
from app.throttle.settings import budget_settings


def _definition(path: str) -> Module:
    return import_attribute(f"{path}.module", "MODULE", Module)


MODULES = tuple(map(_definition, PORTICO))


@cache
def modules_named(names: tuple[str, ...]) -> tuple[Module, ...]:
    """Return Portico's modules and these, with their tables imported.

    Raises:
        Misconfigured: one cannot be imported, or two define something of the same name.

    """
    modules = (*MODULES, *map(_definition, names))
    _check_names(zip((*PORTICO, *names), modules, strict=True))
    for module in modules:
        if module.models is not None:
            import_module(module.models)
    return modules


def branches_of(modules: Iterable[Module]) -> Branches:
    """Returns the migrations of all modules."""
    return Branches(tuple(each.migrations for each in modules if each.migrations is not None))


def tables_of(modules: Iterable[Module]) -> AllTables:
    """Returns the tables of all modules, which were imported before."""
    places = tuple(module.models for module in modules if module.models is not None)
    tables = {
        mapper.local_table
        for mapper in Base.registry.mappers
        if mapper.class_.__module__.startswith(places)
    }
    return AllTables(tuple(each for each in Base.metadata.sorted_tables if each in tables))


def emails_of(modules: Iterable[Module]) -> AllEmails:
    """Returns the emails of all modules."""
    return AllEmails(tuple(each.emails for each in modules if each.emails is not None))


def event_names(modules: Iterable[Module]) -> EventNames:
    """Returns the names of all audit events."""
    return EventNames.of(*(each.events for each in modules if each.events is not None))


def attempts_of(modules: Iterable[Module]) -> tuple[Attempt, ...]:
    """Returns the attempts that fields of these modules are limited as."""
    return tuple(attempt for module in modules for attempt in module.attempts)


def budgets_of(modules: Iterable[Module]) -> AllBudgets:
    """Returns the budgets of all modules."""
    budgets = (budget for module in modules for budget in module.all_budgets)
    return AllBudgets(tuple(dict.fromkeys(budgets)))


@cache
def settings_class(modules: tuple[Module, ...]) -> type[Settings]:
    """Returns the class of all settings, including those of the modules."""
    declared = [module.settings for module in modules if module.settings is not None]
    mixed_in = [each for each in declared if not issubclass(Settings, each)]
    budgets = budget_settings(budgets_of(modules))
    bases: tuple[type[Any], ...] = (*reversed(mixed_in), budgets, Settings)
    kind: Any = type
    return kind("Settings", bases, {"__doc__": Settings.__doc__})


def read_settings() -> Settings:
    """Read the settings of Portico and of the modules that MODULES names.

    Raises:
        Misconfigured: has a line for each error.

    """
    return read_settings_of(settings_class(modules_named(named_modules())))


def _check_names(modules: Iterable[tuple[str, Module]]) -> None:
    """Check that no two modules define a thing of the same name, nor one that the platform has.

    Each module has its Python path beside it: two from elsewhere may have the same name.
    """
    definers = (("Portico", Module(name="Portico", settings=PlatformSettings)), *modules)
    names_by_kind: dict[str, Callable[[Module], Iterable[str]]] = {
        "The module": lambda module: [module.name],
        "The job": lambda module: [each.payload.job for each in module.jobs],
        "The audit event": lambda module: module.events or (),
        "The metric": lambda module: [each.name for each in module.gauges],
        "The attempt": lambda module: [each.name for each in module.attempts],
        "The attribute of settings": _attributes,
    }
    for what, names_of in names_by_kind.items():
        _check_unique(what, [(path, names_of(module)) for path, module in definers])
    owners = _owners(definers)
    _check_unique("The budget", [(by, (budget.name,)) for budget, by in owners.items()])
    of_modules = [(by, each.settings.model_fields) for by, each in definers if each.settings]
    of_budgets = [(by, (budget.setting,)) for budget, by in owners.items()]
    _check_unique("The setting", [*of_modules, *of_budgets])


def _owners(modules: Iterable[tuple[str, Module]]) -> Mapping[Budget, str]:
    """Returns each budget with the path of the first module that charges it."""
    owners: dict[Budget, str] = {}
    for path, module in modules:
        for budget in module.all_budgets:
            owners.setdefault(budget, path)
    return owners


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
    """Returns validators and properties: of two with the same name, the class would keep one."""
    if module.settings is None:
        return set()
    names = set(dir(module.settings)) - set(dir(BaseSettings)) - module.settings.model_fields.keys()
    return {name for name in names if not name.startswith("__")}
