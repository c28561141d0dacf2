"""What a module is: a part of the API, and all that it brings with it."""

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

# Of several processes: what their gauges are together.
Mode = Literal["livesum", "livemostrecent", "livemin", "livemax"]


@dataclass(frozen=True, slots=True)
class Periodic(Generic[S]):
    """A method of a service that is called again and again while a process serves.

    Every process calls it: it must be safe beside itself.
    """

    service: type[S]
    run: Callable[[S], Awaitable[object]]
    seconds: float
    # Whether `portico worker` calls it too.
    in_worker: bool = False


@dataclass(frozen=True, slots=True)
class Gauge(Generic[S]):
    """A number that is read of a service now and then. None: not known, and not shown."""

    name: str
    description: str
    service: type[S]
    read: Callable[[S], float | None]
    mode: Mode = "livesum"
    # Counted up since the process started, and never down.
    is_total: bool = False
    # Whether `portico worker` shows it too.
    in_worker: bool = False


@dataclass(frozen=True, slots=True)
class Erases(Generic[S]):
    """A method that erases what a module knows of a user, in the transaction that deletes them.

    Rows whose foreign key to the user cascades go without it.
    """

    service: type[S]
    method: Callable[[S, AsyncSession, UUID], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A part of the API. Paths name Python modules that are imported when they are needed."""

    name: str
    # Classes and functions that make services, by the annotations of their parameters.
    services: tuple[Provider, ...] = ()
    # Holds SCHEMA: a SchemaPart.
    schema: str | None = None
    # Holds tables, which are known once it is imported.
    models: str | None = None
    # A directory of revisions, a branch of Alembic of its own, labelled with the module's name.
    migrations: Path | None = None
    # Mixed into the class of all settings.
    settings: type[BaseModel] | None = None
    jobs: tuple[Handles[Any, Any], ...] = ()
    periodic: tuple[Periodic[Any], ...] = ()
    erases: tuple[Erases[Any], ...] = ()
    gauges: tuple[Gauge[Any], ...] = ()
    # What its fields are limited as. The budgets of these have a setting each.
    attempts: tuple[Attempt, ...] = ()
    # What its services charge themselves, besides.
    budgets: tuple[Budget, ...] = ()
    # Added to the access tokens of a user.
    claims: Callable[[UserRow], Mapping[str, object]] | None = None
    # Holds COMMANDS: a Typer, under whose name they are found in `portico`.
    commands: str | None = None
    emails: ModuleEmails | None = None
    # Names that it records in the audit.
    events: type[EventName] | None = None

    @property
    def all_budgets(self) -> tuple[Budget, ...]:
        """All budgets that it charges, those of other modules included."""
        charged = (budget for attempt in self.attempts for budget in attempt.budgets)
        return (*charged, *self.budgets)
