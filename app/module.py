"""The class `Module`: what one part of the API declares, in the `module.py` of its folder."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.events import EventName
from app.container import Provider
from app.jobs.handlers import Handles
from app.mail.emails import ModuleEmails
from app.throttle.attempts import Attempt, Budget
from app.users.models import UserRow

S = TypeVar("S")

# How Prometheus combines the gauges of several processes.
Mode = Literal["livesum", "livemostrecent", "livemin", "livemax"]


@dataclass(frozen=True, slots=True)
class Periodic(Generic[S]):
    """A method of a service that is called periodically while a process runs.

    Every process calls it: it must be safe to run concurrently.
    """

    service: type[S]
    run: Callable[[S], Awaitable[object]]
    seconds: float
    # Whether `portico worker` calls it too.
    in_worker: bool = False


@dataclass(frozen=True, slots=True)
class Checks(Generic[S]):
    """A method that raises `Misconfigured` if a server must not start with this database."""

    service: type[S]
    method: Callable[[S], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Gauge(Generic[S]):
    """A number that is read from a service every few seconds; None is not shown."""

    name: str
    description: str
    service: type[S]
    read: Callable[[S], float | None]
    mode: Mode = "livesum"
    # A counter, which starts at 0 with the process and never decreases.
    is_total: bool = False
    # Whether `portico worker` shows it too.
    in_worker: bool = False


@dataclass(frozen=True, slots=True)
class Erases(Generic[S]):
    """A method that erases the data of a user, in the transaction that deletes the user.

    Rows whose foreign key to the user cascades are deleted without it.
    """

    service: type[S]
    method: Callable[[S, AsyncSession, UUID], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A part of the API. Python modules are named by paths, and imported when they are needed.

    Its commands are not listed here: `portico` finds COMMANDS, a Typer, in `commands` beside
    `module.py`, and gives help without importing all services.
    """

    name: str
    # Classes and functions that make services; parameters are provided by their annotations.
    services: tuple[Provider, ...] = ()
    # Defines SCHEMA, a SchemaPart.
    schema: str | None = None
    # Defines tables, which SQLAlchemy knows once it is imported.
    models: str | None = None
    # A directory of revisions: a branch of Alembic that is labelled with the module's name.
    migrations: Path | None = None
    # A base of the class of all settings.
    settings: type[BaseModel] | None = None
    jobs: tuple[Handles[Any, Any], ...] = ()
    periodic: tuple[Periodic[Any], ...] = ()
    checks: tuple[Checks[Any], ...] = ()
    erases: tuple[Erases[Any], ...] = ()
    gauges: tuple[Gauge[Any], ...] = ()
    # What its fields are limited as. The budgets of these have a setting each.
    attempts: tuple[Attempt, ...] = ()
    # What its services charge themselves, besides.
    budgets: tuple[Budget, ...] = ()
    # Claims that are added to the access tokens of a user.
    claims: Callable[[UserRow], Mapping[str, object]] | None = None
    emails: ModuleEmails | None = None
    # The names of the events that it records in the audit.
    events: type[EventName] | None = None

    @property
    def all_budgets(self) -> tuple[Budget, ...]:
        """All budgets that it charges, those of other modules included."""
        charged = (budget for attempt in self.attempts for budget in attempt.budgets)
        return (*charged, *self.budgets)
