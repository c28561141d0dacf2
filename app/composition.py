"""Builds the services of one process from its settings and modules, without HTTP: `build`."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.services.erasure import ErasureStep, ErasureSteps
from app.audit.events import EventNames
from app.clock import Clock, system_clock
from app.config.settings import PlatformSettings
from app.container import Container, Provider
from app.database.base import AllTables
from app.database.database import Database, connect
from app.database.readiness import Readiness
from app.database.replica import Replica
from app.database.revisions import Branches
from app.errors import Misconfigured
from app.jobs.handlers import Handler, Handlers, Handles
from app.keys.services.signing_keys import SigningKeys
from app.mail.emails import AllEmails
from app.mail.mailer import Mailer
from app.module import Erases, Module
from app.modules import (
    attempts_of,
    branches_of,
    budgets_of,
    emails_of,
    event_names,
    modules_named,
    tables_of,
)
from app.periodic import Task
from app.security.cursor_ciphers import CursorCiphers
from app.security.keys import Secrets
from app.security.passwords import Passwords
from app.sessions.services.token_claims import TokenClaims
from app.settings import Settings
from app.throttle.attempts import AllBudgets

NEWER_REVISION = (
    "The database is at revision %s, of a newer release: this one serves until it is replaced."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Portico:
    """The services of all modules, which exist as long as the process."""

    modules: tuple[Module, ...]
    services: Container

    async def start(self) -> None:
        """Check the database and start the signing keys.

        Raises:
            Misconfigured: says in one line what to do.
            Unavailable: the database does not answer or cannot do it now.
            SQLAlchemyError: the database refuses.

        """
        await self.check()
        for each in (check for module in self.modules for check in module.checks):
            await each.method(self.services[each.service])
        newer = await self.services[Readiness].newer_revision()
        if newer:
            log.warning(NEWER_REVISION, newer)
        await self.services[SigningKeys].start()

    async def check(self) -> None:
        """Check that the database has the schema of this release; its keys are not checked.

        Raises:
            Misconfigured: says in one line what to do.
            Unavailable: the database does not answer or cannot do it now.
            SQLAlchemyError: the database refuses.

        """
        await self.services[Readiness].check()
        await self.services[Readiness].check_schema()

    async def unready(self) -> str | None:
        """Returns the reason why the server is not ready, in one public sentence, or None."""
        return await self.services[Readiness].reason() or await self.services[SigningKeys].problem()

    def periodic(self, *, in_worker: bool = False) -> Mapping[float, Sequence[Task]]:
        """Returns the periodic tasks by their intervals in seconds."""
        tasks: defaultdict[float, list[Task]] = defaultdict(list)
        for module in self.modules:
            for each in module.periodic:
                if each.in_worker or not in_worker:
                    tasks[each.seconds].append(partial(each.run, self.services[each.service]))
        return tasks

    async def stop(self) -> None:
        self.services[Passwords].close()
        await self.services[Replica].close()
        await self.services[Database].close()


def build(settings: Settings, clock: Clock = system_clock, mailer: Mailer | None = None) -> Portico:
    """Build the services of these settings. No connection is opened yet.

    A service is made when it is asked for: `services.make_all()` makes those of a server at once.

    Raises:
        Misconfigured: says in one line what is missing or wrong.

    """
    if settings.database_url is None or settings.secret_key is None:
        msg = "DATABASE_URL and SECRET_KEY must be set, unless `portico serve` provides its own."
        raise Misconfigured(msg)
    modules = modules_named(settings.modules)
    services = Container(_providers(modules), _instances(settings, clock, mailer))
    claims = tuple(module.claims for module in modules if module.claims is not None)
    services.put(TokenClaims, TokenClaims(claims))
    services.put(Branches, branches_of(modules))
    services.put(AllEmails, emails_of(modules))
    services.put(EventNames, event_names(modules))
    services.put(AllBudgets, budgets_of(modules))
    services.put(AllTables, tables_of(modules))
    services.put(Handlers, _handlers(modules, services))
    services.put(ErasureSteps, _erasure_steps(modules, services))
    return Portico(modules, services)


def database(settings: PlatformSettings) -> Database:
    return _database(
        settings, settings.database_url.get_secret_value() if settings.database_url else ""
    )


def replica(settings: PlatformSettings, primary: Database) -> Replica:
    if settings.database_read_url is None:
        return Replica(primary)
    max_lag = settings.database_read_max_lag_seconds
    return Replica(
        primary,
        _database(settings, settings.database_read_url.get_secret_value()),
        None if max_lag == "off" else max_lag,
    )


def secrets(settings: PlatformSettings) -> Secrets:
    return Secrets(settings.secret_key.get_secret_value() if settings.secret_key else "")


PLATFORM_SERVICES = (database, replica, secrets, Readiness, CursorCiphers)


def _providers(modules: Sequence[Module]) -> Iterator[Provider]:
    yield from PLATFORM_SERVICES
    for module in modules:
        yield from module.services
    rules = (attempt.rule for attempt in attempts_of(modules))
    yield from dict.fromkeys(rule for rule in rules if rule is not None)


def _database(settings: PlatformSettings, url: str) -> Database:
    size, prepared = settings.database_pool_size, settings.database_prepared_statements
    seconds = settings.database_timeout_seconds
    link = connect(url, pool_size=size, timeout_seconds=seconds, prepared=prepared)
    return Database(link, pool_size=size)


def _instances(settings: Settings, clock: Clock, mailer: Mailer | None) -> dict[object, object]:
    """Returns the existing instances. The settings are also found by the class of each module's."""
    kinds = [kind for kind in type(settings).__mro__ if issubclass(kind, BaseModel)]
    given: dict[object, object] = {kind: settings for kind in kinds if kind is not BaseModel}
    given[Clock] = clock
    return given if mailer is None else given | {Mailer: mailer}


def _handlers(modules: tuple[Module, ...], services: Container) -> Handlers:
    jobs = [each for module in modules for each in module.jobs]
    return Handlers({each.payload.job: _handler(each, services) for each in jobs})


def _handler(job: Handles[Any, Any], services: Container) -> Handler:
    """Returns the handler of a job. It looks up its service later, which may need the handlers."""

    async def handle(payload: bytes) -> None:
        await job.bound_to(services[job.service])(payload)

    return handle


def _erasure_steps(modules: tuple[Module, ...], services: Container) -> ErasureSteps:
    """Returns the erasure steps of all modules. They look up their services when they run."""

    def bound(erases: Erases[Any]) -> ErasureStep:
        async def erase(session: AsyncSession, user_id: UUID) -> None:
            await erases.method(services[erases.service], session, user_id)

        return erase

    return ErasureSteps(tuple(bound(each) for module in modules for each in module.erases))
