"""The GraphQL types of audit events, and the field `auditEvents`."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from app.audit.events import EventNames
from app.audit.models import AuditRow
from app.audit.services.reading import AuditEvents
from app.audit.services.reading import AuditFilter as EventFilter
from app.database.keyset_pages import Page
from app.errors import BadInput
from app.graphql.access import admin_field
from app.graphql.columns import column, computed
from app.graphql.context import Info, admin, member
from app.graphql.ids import Node, id_column
from app.graphql.inputs import DateTimeRange, none_if_unset
from app.graphql.pagination import After, Before, Cursors, First, Last, PageInfo, PlainEncoding
from app.graphql.schema_part import SchemaPart
from app.text.global_ids import read_id_of
from app.users.models import UserRow
from app.users.schema import User

People = dict[uuid.UUID, UserRow]


def _no_sort_value(_row: AuditRow) -> None:
    """Events are ordered by their ids alone."""


CURSORS = Cursors(PlainEncoding("AuditEvent.DESC"), _no_sort_value)
write_cursor = CURSORS.write


@strawberry.type(description="A further detail of an event.")
class AuditDetail:
    name: str = strawberry.field(description="The name of the detail.")
    value: str = strawberry.field(description="Its value, as text.")


@strawberry.type(
    description="Something that happened. It cannot be changed. It is removed only with all events "
    "of its day, if the operator has set a retention period; `audit.trimmed` then says so."
)
class AuditEvent(Node):
    row: strawberry.Private[AuditRow]
    people: strawberry.Private[People]
    now: strawberry.Private[datetime]

    id: strawberry.ID = id_column("AuditEvent")
    at: datetime = column("at", description="When it happened.")
    name: str = column("name", description="What happened. One of ${audit_event_names}.")
    ip_address: str | None = column(
        "ip_address", description="The IP address of the request; null if unknown or erased."
    )
    request_id: str | None = column(
        "request_id", description="The id of the request, as in the log."
    )

    @computed(
        needs=("actor_id",),
        description="The user who did it; null if none was signed in, or the account was deleted.",
    )
    def actor(self) -> User | None:
        return self._person(self.row.actor_id)

    @computed(
        needs=("target_id",),
        description="The user it was done to; null if there is none, or the account was deleted.",
    )
    def target(self) -> User | None:
        return self._person(self.row.target_id)

    @computed(needs=("details",), description="Further details, by name.")
    def details(self) -> list[AuditDetail]:
        return [AuditDetail(name=name, value=str(self.row.details[name])) for name in self._names()]

    def _names(self) -> list[str]:
        return sorted(self.row.details)

    def _person(self, user_id: uuid.UUID | None) -> User | None:
        person = self.people.get(user_id) if user_id else None
        return User(row=person, now=self.now) if person else None


@strawberry.type(description="An event in a page.")
class AuditEventEdge:
    node: AuditEvent = strawberry.field(description="The event.")

    @strawberry.field(description="The position of this event, for `after` and `before`.")
    def cursor(self) -> str:
        return write_cursor(self.node.row)


@strawberry.type(description="A page of events, newest first.")
class AuditEventConnection:
    page: strawberry.Private[Page[AuditRow]]
    people: strawberry.Private[People]
    now: strawberry.Private[datetime]

    @strawberry.field(description="The events of this page with their cursors.")
    def edges(self) -> list[AuditEventEdge]:
        return [AuditEventEdge(node=event) for event in self._events()]

    @strawberry.field(description="The events of this page, without cursors.")
    def nodes(self) -> list[AuditEvent]:
        return self._events()

    @strawberry.field(description="The position of this page in the whole list.")
    def page_info(self) -> PageInfo:
        return PageInfo.of(self.page, write_cursor)

    def _events(self) -> list[AuditEvent]:
        people, now = self.people, self.now
        return [AuditEvent(row=row, people=people, now=now) for row in self.page.rows]


@strawberry.input(description="Filters the audit. An omitted or null field does not filter.")
class AuditFilter:
    names: list[str] | None = strawberry.field(
        default=UNSET, description="Only events of these names."
    )
    actor_id: strawberry.ID | None = strawberry.field(
        default=UNSET,
        description="Only what this user did: an `id` or a `subject`. "
        "The account may have been deleted.",
    )
    target_id: strawberry.ID | None = strawberry.field(
        default=UNSET,
        description="Only what was done to this user: an `id` or a `subject`. "
        "The account may have been deleted.",
    )
    at: DateTimeRange | None = strawberry.field(
        default=UNSET, description="Only events in this range."
    )


@strawberry.type
class AuditQueries:
    @admin_field(
        description="Audit events, newest first, in pages of 50 unless `first` or `last` is given."
    )
    async def audit_events(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        filter: Annotated[  # noqa: A002 - the name in the contract
            AuditFilter | None,
            strawberry.argument(description="Which events; all if omitted."),
        ] = UNSET,
    ) -> AuditEventConnection | None:
        services, viewer = info.context.services, admin(info)
        request = CURSORS.request(first, after, last, before)
        filters = _event_filter(none_if_unset(filter), services[EventNames])
        page = await services[AuditEvents].page(viewer, filters, request)
        people = await _people(info, page.rows)
        return AuditEventConnection(page=page, people=people, now=info.context.clock())


async def event_by_id(info: Info, event_id: uuid.UUID) -> AuditEvent | None:
    services = info.context.services
    row = await services[AuditEvents].by_id(member(info), event_id)
    if row is None:
        return None
    return AuditEvent(row=row, people=await _people(info, [row]), now=info.context.clock())


async def _people(info: Info, rows: Sequence[AuditRow]) -> People:
    """Returns the actors and targets of a page, in one statement, if the operation selects them."""
    selected = info.names_below & {"actor", "target"}
    ids = {user_id for row in rows for user_id in (row.actor_id, row.target_id) if user_id}
    return await info.context.services[AuditEvents].people(member(info), ids) if selected else {}


def _event_filter(argument: AuditFilter | None, known: EventNames) -> EventFilter:
    if argument is None:
        return EventFilter()
    actor, target = none_if_unset(argument.actor_id), none_if_unset(argument.target_id)
    time_range = none_if_unset(argument.at)
    return EventFilter(
        names=_names(none_if_unset(argument.names), known),
        actor_id=read_id_of("User", actor, "filter.actorId") if actor is not None else None,
        target_id=read_id_of("User", target, "filter.targetId") if target is not None else None,
        at_from=none_if_unset(time_range.from_) if time_range else None,
        at_before=none_if_unset(time_range.before) if time_range else None,
    )


def _names(names: list[str] | None, known: EventNames) -> tuple[str, ...] | None:
    if names is None:
        return None
    if len(names) > len(known.names) or not known.has(names):
        raise BadInput("`filter.names` contains an unknown event name.")
    return tuple(sorted(set(names)))


SCHEMA = SchemaPart(queries=(AuditQueries,), nodes={"AuditEvent": event_by_id})
