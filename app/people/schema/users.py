"""Queries for users: `me`, `user`, `users` and `node`."""

import uuid
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Annotated
from unicodedata import category

import strawberry
from strawberry import UNSET

from app.database.keyset_pages import Page
from app.errors import BadInput
from app.graphql.access import admin_field, guest_field, member_field
from app.graphql.columns import columns_below
from app.graphql.context import Info, admin, member
from app.graphql.costs import costly_field
from app.graphql.ids import Node
from app.graphql.inputs import DateTimeRange, none_if_unset
from app.graphql.pagination import After, Before, Cursors, First, Last, PageInfo, PlainEncoding
from app.graphql.problems import publish_enum
from app.graphql.schema_part import NodeKinds
from app.people.services import users as service
from app.people.services.users import Users
from app.security.cursor_ciphers import CursorCiphers
from app.text import text_lines
from app.text.global_ids import read_id, read_id_of, read_subject
from app.users.models import Role, UserRow
from app.users.schema import User
from app.users.services.inputs import MAX_EXTERNAL_ID_CHARACTERS, is_external_id
from app.users.services.viewer import Viewer

MAX_SEARCH_CHARACTERS = 254
# One operation counts at most four times: each count of a million users takes a tenth of a second
# of the database.
COUNT_COST = 2_000
# Control characters, and surrogates.
REFUSED_CATEGORIES = {"Cc", "Cs"}

publish_enum(
    service.UserOrderField,
    "The fields that users can be ordered by.",
    CREATED_AT="When the account was created.",
    LAST_LOGIN_AT="When they last signed in; those who never did count as the earliest.",
    EMAIL="Their address, as the database sorts text.",
)


@strawberry.enum(description="The direction of an order.")
class OrderDirection(Enum):
    ASC = strawberry.enum_value("ASC", description="Ascending.")
    DESC = strawberry.enum_value("DESC", description="Descending.")


@strawberry.input(description="Filters a list of users. An omitted or null field does not filter.")
class UserFilter:
    search: str | None = strawberry.field(
        default=UNSET,
        description="Text that the address or the name contains, in any case. "
        "`%` and `_` are not wildcards.",
    )
    role: Role | None = strawberry.field(default=UNSET, description="Only users with this role.")
    is_active: bool | None = strawberry.field(
        default=UNSET, description="Only users who are not suspended, or only those who are."
    )
    email_verified: bool | None = strawberry.field(
        default=UNSET,
        description="Only users who have verified their address, or only those who have not.",
    )
    created_at: DateTimeRange | None = strawberry.field(
        default=UNSET, description="Only accounts created in this range."
    )
    external_id: str | None = strawberry.field(
        default=UNSET,
        description="Only the user with this id in the system they were imported from, compared "
        "exactly.",
    )


@strawberry.input(description="How a list of users is ordered. Equal values are ordered by id.")
class UserOrder:
    field: service.UserOrderField = strawberry.field(
        default=service.UserOrderField.CREATED_AT, description="The field to order by."
    )
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="The direction."
    )


@strawberry.input(one_of=True, description="Identifies one user, in one of these ways.")
class UserBy:
    id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="By the `id` of the user, or the `subject`."
    )
    email: str | None = strawberry.field(
        default=UNSET, description="By the address, in any spelling."
    )
    subject: str | None = strawberry.field(
        default=UNSET, description="By `sub` of the user's access tokens, a UUID."
    )


@strawberry.type(description="A user in a page.")
class UserEdge:
    position: strawberry.Private[Callable[[UserRow], str]]
    node: User = strawberry.field(description="The user.")

    @strawberry.field(
        description="The position of this user in the order, for `after` and `before`."
    )
    def cursor(self) -> str:
        return self.position(self.node.row)


@strawberry.type(description="A page of users.")
class UserConnection:
    page: strawberry.Private[Page[UserRow]]
    user_filter: strawberry.Private[service.UserFilter]
    cursor: strawberry.Private[Callable[[UserRow], str]]
    now: strawberry.Private[datetime]

    @strawberry.field(description="The users of this page with their cursors.")
    def edges(self) -> list[UserEdge]:
        return [
            UserEdge(node=User(row=row, now=self.now), position=self.cursor)
            for row in self.page.rows
        ]

    @strawberry.field(description="The users of this page, without cursors.")
    def nodes(self) -> list[User]:
        return [User(row=row, now=self.now) for row in self.page.rows]

    @strawberry.field(description="The position of this page in the whole list.")
    def page_info(self) -> PageInfo:
        return PageInfo.of(self.page, self.cursor)

    @costly_field(
        cost=COUNT_COST,
        description="How many match the filter, on all pages. Exact. Counted only when asked for; "
        "the more match, the longer it takes.",
    )
    async def total_count(self, info: Info) -> int:
        return await info.context.services[Users].count(admin(info), self.user_filter)


NO_FILTER = service.UserFilter()
DEFAULT_ORDER = service.UserOrder()


def cursors_of(order: service.UserOrder, ciphers: CursorCiphers) -> Cursors:
    field, direction = order.field, "DESC" if order.descending else "ASC"
    name = f"User.{field.value}.{direction}"
    is_plain = field is service.UserOrderField.CREATED_AT
    return Cursors(
        PlainEncoding(name) if is_plain else ciphers.of(name),
        service.POSITIONS[field],
        of_time=field is not service.UserOrderField.EMAIL,
    )


def read_filter(part: UserFilter | None) -> service.UserFilter:
    if part is None:
        return NO_FILTER
    span = none_if_unset(part.created_at)
    return service.UserFilter(
        search=_search(none_if_unset(part.search)),
        role=none_if_unset(part.role),
        is_active=none_if_unset(part.is_active),
        email_verified=none_if_unset(part.email_verified),
        created_from=none_if_unset(span.from_) if span else None,
        created_before=none_if_unset(span.before) if span else None,
        external_id=_external_id(none_if_unset(part.external_id)),
    )


def read_order(part: UserOrder | None) -> service.UserOrder:
    if part is None:
        return DEFAULT_ORDER
    return service.UserOrder(part.field, descending=part.direction is OrderDirection.DESC)


def _search(text: str | None) -> str | None:
    if text is None:
        return None
    if len(text) > MAX_SEARCH_CHARACTERS or any(
        category(each) in REFUSED_CATEGORIES for each in text
    ):
        raise BadInput(
            f"`filter.search` takes up to {MAX_SEARCH_CHARACTERS} characters, no control "
            "characters."
        )
    return text_lines.normalised(text)


async def _named(users: service.Users, viewer: Viewer, by: UserBy) -> UserRow | None:
    user_id, subject = none_if_unset(by.id), none_if_unset(by.subject)
    if user_id is not None:
        return await users.by_id(viewer, read_id_of("User", user_id, "by.id"))
    if subject is not None:
        return await users.by_id(viewer, read_subject(subject, "by.subject"))
    return await users.by_email(viewer, none_if_unset(by.email) or "")


def _external_id(text: str | None) -> str | None:
    if text is None or is_external_id(text):
        return text
    raise BadInput(
        f"`filter.externalId` takes 1 to {MAX_EXTERNAL_ID_CHARACTERS} characters, no control "
        "characters."
    )


@strawberry.type
class UserQueries:
    @guest_field(
        description="The current user. Null for a guest; with an invalid token, null and an "
        "UNAUTHENTICATED error."
    )
    async def me(self, info: Info) -> User | None:
        viewer = await info.context.identify()
        return User(row=viewer.user, now=info.context.clock()) if viewer else None

    @admin_field(description="All users, in pages of 50 unless `first` or `last` is given.")
    async def users(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        filter: Annotated[  # noqa: A002 - the name in the contract
            UserFilter | None,
            strawberry.argument(description="Which users to list; all if omitted."),
        ] = UNSET,
        order_by: Annotated[
            UserOrder | None,
            strawberry.argument(description="The order; by creation if omitted."),
        ] = UNSET,
    ) -> UserConnection | None:
        order, user_filter = read_order(none_if_unset(order_by)), read_filter(none_if_unset(filter))
        cursors = cursors_of(order, info.context.services[CursorCiphers])
        request = cursors.request(first, after, last, before)
        columns = columns_below(info, User)
        users = info.context.services[Users]
        page = await users.page(admin(info), user_filter, order, request, columns=columns)
        now = info.context.clock()
        return UserConnection(page=page, user_filter=user_filter, cursor=cursors.write, now=now)

    @member_field(
        description="One user. Members can see themselves, administrators all users; otherwise it "
        "is null, as if the user did not exist."
    )
    async def user(
        self, info: Info, by: Annotated[UserBy, strawberry.argument(description="The user.")]
    ) -> User | None:
        services = info.context.services
        row = await _named(services[Users], member(info), by)
        return User(row=row, now=info.context.clock()) if row else None

    @member_field(
        description="An object by its id, if the caller may see it; otherwise null, as if it did "
        "not exist."
    )
    async def node(
        self,
        info: Info,
        id: Annotated[  # noqa: A002 - the name in the contract
            strawberry.ID,
            strawberry.argument(description="Its `id`; the `subject` of a user is accepted too."),
        ],
    ) -> Node | None:
        kind, row_id = read_id(id, "id")
        member(info)
        read = info.context.services[NodeKinds].get(kind)
        return await read(info, row_id) if read else None


async def user_by_id(info: Info, user_id: uuid.UUID) -> User | None:
    user = await info.context.services[Users].by_id(member(info), user_id)
    return User(row=user, now=info.context.clock()) if user else None
