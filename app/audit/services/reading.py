"""Reads audit events in pages, newest first."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import TIMESTAMP, ColumnElement, Text, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app.audit.events import EventNames
from app.audit.models import AuditEvent, AuditRow
from app.clock import Clock
from app.database.database import Database, Query
from app.database.identifiers import first_id
from app.database.keyset_pages import Keyset, Page, PageRequest, PageShape, page_of
from app.database.replica import Replica
from app.users.models import User, UserRow
from app.users.services.rows import USER_COLUMNS
from app.users.services.viewer import Admin, Viewer

COLUMNS = tuple(getattr(AuditEvent, name) for name in AuditRow._fields)
NEWEST_FIRST = Keyset(None, AuditEvent.id.expression, descending=True)
TIME = TIMESTAMP(timezone=True)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """A field that is None does not filter. `at_from` is inclusive, `at_before` exclusive."""

    names: tuple[str, ...] | None = None
    actor_id: uuid.UUID | None = None
    target_id: uuid.UUID | None = None
    at_from: datetime | None = None
    at_before: datetime | None = None


class GivenFilters(NamedTuple):
    """Which fields of a filter are given."""

    names: bool
    actor_id: bool
    target_id: bool
    at_from: bool
    at_before: bool


@dataclass(frozen=True, slots=True)
class AuditEvents:
    db: Database
    replica: Replica
    names: EventNames
    clock: Clock

    async def page(
        self, _admin: Admin, filters: AuditFilter, request: PageRequest
    ) -> Page[AuditRow]:
        query = _page_query(_given_filters(filters), request.shape)
        rows = await self.replica.fetch(query, **request.values, **_values(filters))
        return page_of([_row(row) for row in rows], request)

    async def by_id(self, viewer: Viewer, event_id: uuid.UUID) -> AuditRow | None:
        """Returns an event to administrators; None to members, as if it did not exist."""
        if not viewer.is_admin:
            return None
        rows = await self.db.rows(select(*COLUMNS).where(AuditEvent.id == event_id))
        return AuditRow._make(rows[0]) if rows else None

    async def people(self, _viewer: Viewer, ids: set[uuid.UUID]) -> dict[uuid.UUID, UserRow]:
        """Returns those users that still exist, in one statement for a whole page."""
        rows = await self.replica.fetch(PEOPLE, ids=list(ids)) if ids else []
        people = (UserRow._make(row) for row in rows)
        return {person.id: person for person in people}


PEOPLE = Query(select(*USER_COLUMNS).where(User.id == bindparam("ids", type_=ARRAY(UUID)).any_()))


def _row(row: Any) -> AuditRow:
    event = AuditRow._make(row)
    # Read without SQLAlchemy, JSON is still text.
    details = event.details
    return event._replace(details=orjson.loads(details)) if isinstance(details, str) else event


def _given_filters(filters: AuditFilter) -> GivenFilters:
    return GivenFilters(*(getattr(filters, name) is not None for name in GivenFilters._fields))


def _values(filters: AuditFilter) -> dict[str, Any]:
    at_from, before = filters.at_from, filters.at_before
    return {
        "names": filters.names and list(filters.names),
        "actor_id": filters.actor_id,
        "target_id": filters.target_id,
        "at_from": at_from,
        "at_before": before,
        # Ids begin with their time, so the index that orders the page also finds the range.
        "id_from": at_from and first_id(at_from),
        "id_before": before and uuid.UUID(int=first_id(before).int + (1 << 80)),
    }


@lru_cache(maxsize=256)
def _page_query(given: GivenFilters, shape: PageShape) -> Query:
    return Query(NEWEST_FIRST.select(select(*COLUMNS).where(*_conditions(given)), shape))


def _conditions(given: GivenFilters) -> Iterator[ColumnElement[bool]]:
    event = AuditEvent
    if given.names:
        yield event.name == bindparam("names", type_=ARRAY(Text)).any_()
    if given.actor_id:
        yield event.actor_id == bindparam("actor_id", type_=UUID)
    if given.target_id:
        yield event.target_id == bindparam("target_id", type_=UUID)
    if given.at_from:
        yield event.id >= bindparam("id_from", type_=UUID)
        yield event.at >= bindparam("at_from", type_=TIME)
    if given.at_before:
        yield event.id < bindparam("id_before", type_=UUID)
        yield event.at < bindparam("at_before", type_=TIME)
