"""Reading and resolving fields: the same in Python code, on the stock executor, and in plans."""

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry
from strawberry.extensions import FieldExtension
from strawberry.schema.config import StrawberryConfig

from app.engine.attributes import Attribute, attribute_field
from app.engine.context import FieldInfo, Requester
from app.engine.documents import Documents
from app.engine.duty_cycle import DutyCycle
from app.engine.engine import Engine, Operation, core_schema
from app.engine.executable import Planned
from app.engine.limits import DocumentLimits, FieldCosts
from app.errors import Forbidden, Unavailable

REQUESTER = Requester("someone")


@dataclass
class Request:
    """The context, in which calls are recorded."""

    allowed: bool = True
    away: bool = False
    request_id: str | None = "request"
    requester: Requester = REQUESTER
    calls: list[str] = field(default_factory=list[str])


class Info(FieldInfo[Request, None]):
    pass


class Admitting(FieldExtension):
    """A guard, which only has `admit`."""

    async def admit(self, context: Request) -> None:
        context.calls.append("admit")
        if not context.allowed:
            raise Forbidden("Not for you.")

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: Any, **kwargs: Any
    ) -> Any:
        await self.admit(info.context)
        return await next_(source, info, **kwargs)


class Noting(FieldExtension):
    """An extension that is not a guard."""

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: Any, **kwargs: Any
    ) -> Any:
        info.context.calls.append("before")
        result = await next_(source, info, **kwargs)
        info.context.calls.append("after")
        return result


@strawberry.enum
class Kind(enum.Enum):
    NOVEL = "novel"
    ESSAY = "essay"


@dataclass
class Row:
    title: str
    kind: str


@strawberry.type
class Book:
    row: strawberry.Private[Row]
    title: str = attribute_field(Attribute(("row", "title")), description="Its title.")
    kind: Kind = attribute_field(Attribute(("row", "kind"), Kind), description="What it is.")
    # Passed to `__init__`, as fields of Strawberry usually are.
    stock: int = 0


def shelf() -> list[Book]:
    return [Book(row=Row("Ubik", "novel"), stock=2), Book(row=Row("On Weaving", "essay"))]


@strawberry.type
class Root:
    @strawberry.field(extensions=[Admitting()])
    async def guarded(self, info: Info) -> list[Book] | None:
        info.context.calls.append("guarded")
        return shelf()

    @strawberry.field(extensions=[Noting()])
    async def noted(self, info: Info) -> list[Book] | None:
        info.context.calls.append("noted")
        return shelf()

    @strawberry.field(extensions=[Noting(), Admitting()])
    async def both(self, info: Info) -> list[Book] | None:
        info.context.calls.append("both")
        return shelf()

    @strawberry.field
    async def remote(self, info: Info) -> list[Book] | None:
        if info.context.away:
            raise Unavailable("nobody answers")
        info.context.calls.append(" ".join(sorted(info.names_below)))
        return shelf()


SCHEMA = strawberry.Schema(Root, config=StrawberryConfig(info_class=Info))
BOOKS = "{ title kind stock }"
SHELF = [
    {"title": "Ubik", "kind": "NOVEL", "stock": 2},
    {"title": "On Weaving", "kind": "ESSAY", "stock": 0},
]
FRAGMENTS = """
  { __typename remote { ...Book ... on Book { stock } } } fragment Book on Book { title kind }
"""


def engine(planned: Planned) -> Engine:
    documents = Documents(
        schema=core_schema(SCHEMA), limits=DocumentLimits(), costs=FieldCosts(), planned=planned
    )
    return Engine(SCHEMA, documents, slow_work=DutyCycle(share=1))


async def answer(engine: Engine, text: str, request: Request) -> Any:
    operation = await engine.prepare(text, None, {}, request)
    assert isinstance(operation, Operation)
    answered = await engine.run(operation, request)
    variant = operation.executable.variant({})
    return answered, request.calls, bool(variant and variant.plan)


async def answers_to(text: str, request: Callable[[], Request]) -> list[Any]:
    """Answers and calls of the stock executor and of a plan."""
    stock, plans = engine(Planned.NONE), engine(Planned.REPEATED)
    # Sent twice without an error, an operation has a plan.
    for _ in range(2):
        await answer(plans, text, Request())
    *by_stock, is_planned = await answer(stock, text, request())
    assert not is_planned
    *by_plan, is_planned = await answer(plans, text, request())
    assert is_planned
    return [tuple(by_stock), tuple(by_plan)]


def test_an_attribute_field_is_a_property_and_not_a_parameter_of_the_class() -> None:
    book = Book(row=Row("Ubik", "novel"))

    assert (book.title, book.kind) == ("Ubik", Kind.NOVEL)
    assert book == Book(row=Row("Ubik", "novel"))
    with pytest.raises(TypeError):
        Book(row=Row("Ubik", "novel"), title="Valis")


@pytest.mark.parametrize(
    ("field", "calls"),
    [
        ("guarded", ["admit", "guarded"]),
        ("noted", ["before", "noted", "after"]),
        ("both", ["admit", "before", "both", "after"]),
        ("remote", ["kind stock title"]),
    ],
)
async def test_guards_and_extensions_run_in_plans_too(field: str, calls: list[str]) -> None:
    stock, planned = await answers_to(f"{{ {field} {BOOKS} }}", Request)

    assert stock == ({"data": {field: SHELF}}, calls)
    assert planned == stock


@pytest.mark.parametrize("field", ["guarded", "both"])
async def test_a_field_refused_by_a_guard_is_not_resolved_with_or_without_a_plan(
    field: str,
) -> None:
    stock, planned = await answers_to(f"{{ {field} {BOOKS} }}", lambda: Request(allowed=False))

    assert stock[1] == ["admit"]
    assert planned == stock
    (error,) = stock[0]["errors"]
    assert (error["message"], error["path"]) == ("Not for you.", [field])
    assert error["extensions"] == {"code": "FORBIDDEN"}
    assert stock[0]["data"] == {field: None}


async def test_names_below_include_those_in_fragments() -> None:
    stock, planned = await answers_to(FRAGMENTS, Request)

    assert stock == ({"data": {"__typename": "Root", "remote": SHELF}}, ["kind stock title"])
    assert planned == stock


async def test_an_outage_is_reported_for_each_root_field_without_a_second_attempt() -> None:
    text = f"{{ __typename a: remote {BOOKS} }}"

    stock, planned = await answers_to(text, lambda: Request(away=True))

    assert planned == stock
    assert stock[0]["data"] == {"__typename": "Root", "a": None}
    assert [error["path"] for error in stock[0]["errors"]] == [["a"]]
