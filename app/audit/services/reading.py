"""Reading the audit: page by page, newest first."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import TIMESTAMP, ColumnElement, Text, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app.audit.events import EventNames
from app.audit.models import AuditEvent, AuditRow
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
    """Each part narrows, None does not. `at_from` is included, `at_before` is not."""

    names: tuple[str, ...] | None = None
    actor_id: uuid.UUID | None = None
    target_id: uuid.UUID | None = None
    at_from: datetime | None = None
    at_before: datetime | None = None


class Parts(NamedTuple):
    """Which parts of a filter are given."""

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
    clock: Callable[[], datetime]

    async def page(self, _admin: Admin, found: AuditFilter, request: PageRequest) -> Page[AuditRow]:
        query = _page_query(_parts(found), request.shape)
        rows = await self.replica.fetch(query, **request.values, **_values(found))
        return page_of([_row(row) for row in rows], request)

    async def by_id(self, viewer: Viewer, event_id: uuid.UUID) -> AuditRow | None:
        """An event, for administrators; members do not learn that there is one."""
        if not viewer.is_admin:
            return None
        rows = await self.db.rows(select(*COLUMNS).where(AuditEvent.id == event_id))
        return AuditRow._make(rows[0]) if rows else None

    async def people(self, _viewer: Viewer, ids: set[uuid.UUID]) -> dict[uuid.UUID, UserRow]:
        """Those of these who still have an account, in one statement for a whole page."""
        rows = await self.replica.fetch(PEOPLE, ids=list(ids)) if ids else []
        people = (UserRow._make(row) for row in rows)
        return {person.id: person for person in people}


PEOPLE = Query(select(*USER_COLUMNS).where(User.id == bindparam("ids", type_=ARRAY(UUID)).any_()))


def _row(row: Any) -> AuditRow:
    event = AuditRow._make(row)
    # The driver itself gives JSON as it is written.
    details = event.details
    return event._replace(details=orjson.loads(details)) if isinstance(details, str) else event


def _parts(found: AuditFilter) -> Parts:
    return Parts(*(getattr(found, name) is not None for name in Parts._fields))


def _values(found: AuditFilter) -> dict[str, Any]:
    at_from, before = found.at_from, found.at_before
    return {
        "names": found.names and list(found.names),
        "actor_id": found.actor_id,
        "target_id": found.target_id,
        "at_from": at_from,
        "at_before": before,
        # Ids begin with their time: the range is found in the order that is read anyway.
        "id_from": at_from and first_id(at_from),
        "id_before": before and uuid.UUID(int=first_id(before).int + (1 << 80)),
    }


@lru_cache(maxsize=256)
def _page_query(parts: Parts, shape: PageShape) -> Query:
    return Query(NEWEST_FIRST.select(select(*COLUMNS).where(*_conditions(parts)), shape))


def _conditions(parts: Parts) -> Iterator[ColumnElement[bool]]:
    event = AuditEvent
    if parts.names:
        yield event.name == bindparam("names", type_=ARRAY(Text)).any_()
    if parts.actor_id:
        yield event.actor_id == bindparam("actor_id", type_=UUID)
    if parts.target_id:
        yield event.target_id == bindparam("target_id", type_=UUID)
    if parts.at_from:
        yield event.id >= bindparam("id_from", type_=UUID)
        yield event.at >= bindparam("at_from", type_=TIME)
    if parts.at_before:
        yield event.id < bindparam("id_before", type_=UUID)
        yield event.at < bindparam("at_before", type_=TIME)
