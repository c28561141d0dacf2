"""Plans against the stock executor, on Portico's schema: the same answers to random documents."""

import asyncio
import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import hypothesis
import pytest
from fastapi import FastAPI
from graphql import GraphQLSchema
from hypothesis import strategies as st
from hypothesis_graphql import queries
from hypothesis_graphql.nodes import String

from app.audit.models import AuditRow
from app.audit.services.reading import AuditEvents, AuditFilter
from app.composition import Portico
from app.container import Container
from app.database.keyset_pages import page_of
from app.engine.documents import Document, Documents
from app.engine.duty_cycle import DutyCycle
from app.engine.engine import Engine, Operation, core_schema
from app.engine.executable import Executable, Planned, Planning, Variant
from app.engine.limits import DocumentLimits
from app.errors import Unavailable
from app.graphql.context import Context
from app.graphql.field_policy import field_costs
from app.main import default_schema
from app.people.services.users import Users
from app.security.client import Client
from app.security.session_cookie import SessionCookie
from app.sessions.models import SessionRow
from app.sessions.services.sessions import Sessions
from app.users.models import UserRow
from app.users.services.viewer import Admin
from tests.engine.answers import by_path, order_of_keys
from tests.engine.random_documents import EXAMPLES, random_document

SCHEMA = default_schema()
SDL: str = SCHEMA.as_str()
UNLIMITED = DocumentLimits(**dict.fromkeys(DocumentLimits.__dataclass_fields__, 10**9))
NOW = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)


def user(number: int, **changes: Any) -> UserRow:
    row = UserRow(
        id=uuid.UUID(int=number),
        email=f"u{number}@example.com",
        email_verified=bool(number % 2),
        display_name=None,
        role="MEMBER",
        suspended_at=None,
        suspended_until=None,
        suspension_reason=None,
        created_at=NOW,
        updated_at=NOW,
        last_login_at=None,
        external_id=None,
    )
    return row._replace(**changes)


def session(number: int) -> SessionRow:
    return SessionRow(
        id=uuid.UUID(int=number),
        user_id=uuid.UUID(int=1),
        token_salt=b"",
        generation=0,
        rotated_at=NOW,
        used_generation=0,
        first_generation=0,
        rotated_by=None,
        user_agent="agent",
        ip_address=None,
        created_at=NOW,
        last_used_at=NOW,
        expires_at=NOW,
        ends_by=NOW,
        ended_at=None,
        end_reason=None,
        proved_at=None,
        methods=["PASSWORD"],
        is_passkey_synced=None,
    )


def event(number: int, actor: int) -> AuditRow:
    actor_id, target_id = uuid.UUID(int=actor), uuid.UUID(int=99)
    details = {"number": number}
    return AuditRow(
        uuid.UUID(int=number), NOW, "session.started", actor_id, target_id, None, None, details
    )


class Stand:
    """Services that answer from memory, with some invalid values."""

    def __init__(self, rows: list[Any], failing: set[str]) -> None:
        self.rows, self.failing = rows, failing

    async def page(self, *arguments: Any, **_: Any) -> Any:
        self.fail("page")
        if isinstance(arguments[1], AuditFilter):
            return page_of([event(3, actor=1), event(4, actor=98)], arguments[-1])
        return page_of(self.rows, arguments[-1])

    async def pages(self, user_ids: Sequence[uuid.UUID], _viewer: Any, request: Any) -> Any:
        self.fail("page")
        return {user_id: page_of([session(7)], request) for user_id in user_ids}

    async def people(self, *_: Any) -> Any:
        return {row.id: row for row in self.rows}

    async def count(self, *_: Any) -> Any:
        self.fail("count")
        return None if "null count" in self.failing else len(self.rows)

    async def by_id(self, _viewer: Any, row_id: uuid.UUID) -> Any:
        self.fail("by_id")
        return self.rows[0] if self.rows and row_id.int % 2 else None

    async def by_email(self, *_: Any) -> Any:
        return self.rows[0] if self.rows else None

    def fail(self, name: str) -> None:
        if name in self.failing:
            raise RuntimeError(name)


class NoHead:
    def client(self) -> Client:
        return Client(None, None, "request")

    def cookie(self) -> SessionCookie:
        return SessionCookie()


def context_of(portico: Portico, rows: list[Any], failing: set[str]) -> Context:
    stand: Any = Stand(rows, failing)
    viewer = Admin(user(1, role="ADMIN"), uuid.UUID(int=7))

    class Known(Context):
        async def identify(self) -> Admin:
            stand.fail("identify")
            if "away" in failing:
                raise Unavailable("the database is away")
            self.viewer = viewer
            return viewer

    class StandIns(Container):
        def __getitem__(self, kind: Any) -> Any:
            return stand if kind in {Users, Sessions, AuditEvents} else portico.services[kind]

    return Known(StandIns((), {}), lambda: NOW, NoHead)


def engine(planned: Planned) -> Engine:
    core: GraphQLSchema = core_schema(SCHEMA)
    documents = Documents(
        schema=core, limits=UNLIMITED, costs=field_costs(core), explore=True, planned=planned
    )
    return Engine(SCHEMA, documents, slow_work=DutyCycle(share=1))


ROWS: list[list[Any]] = [
    [],
    [user(1), user(2)],
    [user(1), user(2, email=None)],
    [user(1, created_at="yesterday"), user(2)],
    [user(1, role="NOBODY"), user(2)],
    [
        user(1, suspended_at=NOW, suspension_reason="x", suspended_until=None),
        user(2, display_name="b"),
    ],
]
FAILURES = ["page", "count", "null count", "by_id", "identify"]


@pytest.fixture(scope="module")
def answer(app: FastAPI) -> Callable[..., Any]:
    stock, planned = engine(Planned.NONE), engine(Planned.ALL)

    def both(text: str, rows: list[Any], failing: set[str], variables: Any = None) -> Any:
        async def run(one: Engine, failing: set[str] = failing) -> Any:
            context = context_of(app.state.portico, rows, failing)
            prepared = await one.prepare(text, None, variables or {}, context)
            if not isinstance(prepared, Operation):
                return prepared
            return await one.run(prepared, context)

        async def run_all() -> list[Any]:
            return [await run(stock), await run(planned), await run(planned)]

        answers = [by_path(each) for each in asyncio.run(run_all())]
        assert is_settled(planned, text, variables or {})
        return answers

    return both


def is_settled(one: Engine, text: str, variables: dict[str, Any]) -> bool:
    """Whether an operation has its plan, or cannot have one."""
    document = one.documents.known(text)
    if not isinstance(document, Document) or len(document.operations) > 1:
        return True
    (executable,) = document.operations.values()
    variant = executable.variant(variables)
    return variant is None or executable.introspects or variant.planning is Planning.PLANNED


@hypothesis.settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much],
)
@hypothesis.given(
    text=queries(SDL, custom_scalars={"DateTime": st.none().map(lambda _: date())}),
    rows=st.sampled_from(ROWS),
    failing=st.sets(st.sampled_from(FAILURES), max_size=2),
)
def test_a_plan_returns_the_answer_of_the_stock_executor(
    answer: Callable[..., Any], text: str, rows: list[Any], failing: set[str]
) -> None:
    stock, *planned = answer(text, rows, failing)

    assert planned == [stock, stock]


@hypothesis.settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
@hypothesis.given(
    seed=st.integers(0, 2**32),
    rows=st.sampled_from(ROWS),
    failing=st.sets(st.sampled_from(FAILURES), max_size=2),
)
def test_a_plan_merges_fields_and_fragments_like_the_stock_executor(
    answer: Callable[..., Any], seed: int, rows: list[Any], failing: set[str]
) -> None:
    sample = random_document(core_schema(SCHEMA), Random(seed), "query")  # noqa: S311
    hypothesis.assume(sample)
    assert sample

    stock, *planned = answer(sample.text, rows, failing, sample.variables)

    assert planned == [stock, stock]
    if isinstance(stock, dict):
        expected = order_of_keys(stock["data"])
        assert [order_of_keys(each["data"]) for each in planned] == [expected, expected]


def date() -> Any:
    return String("2026-01-31T12:00:00Z")


FRAGMENTS = """
query Q($n: Int = 1, $by: UserBy!) {
  a: users(first: $n) { ...Page ... on UserConnection { totalCount } nodes { role } }
  users(last: 2) { nodes { ...Node ... on Node { id } __typename } ...Page }
  user(by: $by) {
    id ...Node suspension { reason until }
    some: sessions(first: 1) { nodes { isCurrent } } }
}
fragment Page on UserConnection { edges { cursor node { ...Node email } } pageInfo { endCursor } }
fragment Node on User { id isActive createdAt sessions { edges { node { id } } } }
"""


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("failing", [set[str](), {"count"}, {"page"}, {"identify"}])
def test_plans_support_fragments_aliases_and_variables(
    answer: Callable[..., Any], rows: list[Any], failing: set[str]
) -> None:
    variables = {"by": {"email": "x@example.com"}, "n": 2}

    stock, first, planned = answer(FRAGMENTS, rows, failing, variables)

    assert (first, planned) == (stock, stock)
    assert list(planned["data"] or {}) == list(stock["data"] or {})


def test_an_outage_of_the_database_is_reported_for_each_root_field_with_or_without_a_plan(
    answer: Callable[..., Any],
) -> None:
    text = "{ __typename a: me { email } users { totalCount } }"

    stock, first, planned = answer(text, ROWS[1], {"away"})

    assert (first, planned, planned["data"]) == (
        stock,
        stock,
        {"__typename": "Query", "a": None, "users": None},
    )
    assert [error["path"] for error in planned["errors"]] == [["a"], ["users"]]


@pytest.mark.parametrize(
    ("text", "is_planned"),
    [
        ("{ me { id email isActive createdAt } }", True),
        ("query($n: Int) { users(first: $n) { totalCount edges { cursor node { id } } } }", True),
        ("{ me { ... on Node { id } sessions(first: 1) { nodes { isCurrent } } } }", True),
        ("query($b: Boolean!) { me { id @include(if: $b) } }", True),
        ("{ node(id: 1) { id ... on User { email } ... on AuditEvent { name } } }", True),
        ("{ __typename }", True),
        ("mutation { logout { sessionsEnded } }", True),
        ("{ __schema { queryType { name } } }", False),
    ],
)
def test_only_supported_operations_are_planned(text: str, is_planned: bool) -> None:
    documents = engine(Planned.ALL).documents
    document, executable, variant = variant_of(documents, text, {"b": True})

    documents.plan(document, executable, variant)

    assert bool(variant.plan) is is_planned
    assert variant.planning is (Planning.PLANNED if is_planned else Planning.NOT_PLANNED)


def variant_of(
    documents: Documents, text: str, variables: dict[str, Any]
) -> tuple[Document, Executable, Variant]:
    document = documents.read(text)
    assert isinstance(document, Document)
    executable = document.operations[None]
    variant = executable.variant(variables)
    assert variant
    return document, executable, variant


@pytest.mark.parametrize(
    "text",
    [
        "{ me { id email isActive createdAt lastLoginAt suspension { reason } __typename } }",
        "{ users { nodes { id } edges { cursor node { id email } } pageInfo { endCursor } } }",
        "{ __typename users { totalCount nodes { sessions { edges { node { expiresAt } } } } } }",
    ],
)
async def test_a_plan_runs_to_its_end(app: FastAPI, text: str) -> None:
    documents = engine(Planned.ALL).documents
    document, executable, variant = variant_of(documents, text, {})
    documents.plan(document, executable, variant)

    assert variant.plan
    assert await variant.plan.run(context_of(app.state.portico, ROWS[1], set()), {}, {})
