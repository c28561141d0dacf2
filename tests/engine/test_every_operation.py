"""Plans against the stock executor, on a schema with all kinds of types and failing resolvers."""

import asyncio
import enum
import gc
import warnings
from dataclasses import dataclass, field, replace
from random import Random
from typing import Annotated, Any

import hypothesis
import pytest
import strawberry
from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DirectiveNode,
    FieldNode,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    visit,
)
from hypothesis import strategies as st
from hypothesis_graphql import from_schema
from strawberry.schema.config import StrawberryConfig

from app.engine.attributes import Attribute, attribute_field
from app.engine.context import FieldInfo, Requester
from app.engine.documents import Document, Documents
from app.engine.duty_cycle import DutyCycle
from app.engine.engine import Engine, Operation, core_schema
from app.engine.executable import MAX_VARIANTS, Planned, Planning, Variant
from app.engine.limits import DocumentLimits, FieldCosts
from app.engine.plans.plan import MAX_FIELDS
from tests.engine.answers import by_path

UNLIMITED = DocumentLimits(**dict.fromkeys(DocumentLimits.__dataclass_fields__, 10**9))
REQUESTER = Requester("someone")


@dataclass
class Request:
    """The context, in which root fields record that they were resolved."""

    request_id: str | None = "request"
    requester: Requester = REQUESTER
    calls: list[str] = field(default_factory=list[str])


class Info(FieldInfo[Request, None]):
    pass


@strawberry.enum
class Then(enum.Enum):
    """What a resolver does."""

    ANSWER = "answer"
    ANSWER_LATER = "answer later"
    ANSWER_NULL = "answer null"
    ANSWER_SOMETHING_ELSE = "answer something else"
    RAISE = "raise"
    RAISE_LATER = "raise later"


async def do(then: Then, answer: Any) -> Any:
    if then in {Then.ANSWER_LATER, Then.RAISE_LATER}:
        await asyncio.sleep(0)
    if then in {Then.RAISE, Then.RAISE_LATER}:
        raise ValueError(then)
    return {Then.ANSWER_NULL: None, Then.ANSWER_SOMETHING_ELSE: object()}.get(then, answer)


@dataclass
class Row:
    number: int
    title: str = "Ubik"


@strawberry.interface
class Node:
    @strawberry.field
    def number(self) -> int:
        raise NotImplementedError


@strawberry.type
class Book(Node):
    row: strawberry.Private[Row]
    title: str = attribute_field(Attribute(("row", "title")), description="Its title.")

    @strawberry.field
    def number(self) -> int:
        return self.row.number

    @strawberry.field
    def length(self) -> int | None:
        return None

    @strawberry.field
    async def next(self, then: Then) -> "Book | None":
        return await do(then, Book(row=Row(self.row.number + 1)))

    @strawberry.field
    async def must_have(self, then: Then) -> str:
        return await do(then, f"{self.row.number}")

    @strawberry.field
    async def similar(self, info: Info, then: Then) -> list["Item"]:
        assert info.names_below is not None
        return await do(then, [Film(known_number=2), Book(row=Row(3))])


@strawberry.type
class Film(Node):
    known_number: strawberry.Private[int]

    @strawberry.field
    def number(self) -> int:
        return self.known_number

    @strawberry.field
    def title(self) -> str:
        return f"Film {self.known_number}"

    @strawberry.field
    def books(self) -> list[Book | None]:
        return [Book(row=Row(self.known_number)), None]


@strawberry.type
class Song:
    words: str | None = None


Item = Annotated[Book | Film | Song, strawberry.union("Item")]
BOOK, FILM, SONG = Book(row=Row(1)), Film(known_number=2), Song()


@strawberry.type
class Query:
    @strawberry.field
    def greeting(self) -> str:
        return "Hello"

    @strawberry.field
    async def book(self, info: Info, then: Then) -> Book | None:
        info.context.calls.append("book")
        return await do(then, BOOK)

    @strawberry.field
    async def must_have(self, info: Info, then: Then) -> Film:
        info.context.calls.append("must_have")
        return await do(then, FILM)

    @strawberry.field
    async def node(self, info: Info, then: Then, is_book: bool) -> Node | None:
        info.context.calls.append("node")
        return await do(then, BOOK if is_book else FILM)

    @strawberry.field
    async def items(self, info: Info, then: Then) -> list[Item | None] | None:
        info.context.calls.append("items")
        return await do(then, [BOOK, FILM, SONG, None])

    @strawberry.field
    async def nodes(self, info: Info, then: Then) -> list[Node] | None:
        info.context.calls.append("nodes")
        return await do(then, [BOOK, FILM])


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def write(self, info: Info, then: Then) -> Book | None:
        info.context.calls.append("write")
        return await do(then, BOOK)

    @strawberry.mutation
    async def must_do(self, info: Info, then: Then) -> Item:
        info.context.calls.append("must_do")
        return await do(then, FILM)

    @strawberry.mutation
    async def remove(self, info: Info, then: Then, song: bool | None = None) -> Item | None:
        info.context.calls.append("remove")
        return await do(then, SONG if song else BOOK)

    @strawberry.mutation
    def count(self, info: Info) -> int:
        info.context.calls.append("count")
        return len(info.context.calls)


SCHEMA = strawberry.Schema(Query, Mutation, config=StrawberryConfig(info_class=Info))
CONDITIONS = ({"a": True, "b": False}, {"a": False}, {"a": False, "b": True})


class Conditional(Visitor):
    """Adds `@include` and `@skip` to some of the selections."""

    def __init__(self, random: Random) -> None:
        self._random = random
        super().__init__()

    def enter(self, node: Any, *_: Any) -> Any:
        if not isinstance(node, FieldNode | InlineFragmentNode) or self._random.random() < 0.7:
            return None
        values = [
            VariableNode(name=NameNode(value="a")),
            VariableNode(name=NameNode(value="b")),
            BooleanValueNode(value=True),
        ]
        argument = ArgumentNode(name=NameNode(value="if"), value=self._random.choice(values))
        name = NameNode(value=self._random.choice(["include", "skip"]))
        return replace(node, directives=(DirectiveNode(name=name, arguments=(argument,)),))


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, bool]:
    """One operation with conditions, and whether it is a mutation."""
    document = parse(draw(from_schema(SCHEMA.as_str())))
    document = visit(document, Conditional(draw(st.randoms(use_true_random=False))))
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    selected = print_ast(operation.selection_set)
    kind = operation.operation.value
    text = f"{kind} Q($a: Boolean!, $b: Boolean! = true, $unused: Boolean) {selected}"
    # Both are used, or the document is not valid.
    used = "... on Query" if kind == "query" else "... on Mutation"
    known = f"{used} @skip(if: $a) {{ __typename }} {used} @skip(if: $b) {{ __typename }}"
    text = text.replace(", $unused: Boolean", "").replace("{", f"{{ {known} ", 1)
    return text, operation.operation is OperationType.MUTATION


def engine(planned: Planned) -> Engine:
    documents = Documents(
        schema=core_schema(SCHEMA), limits=UNLIMITED, costs=FieldCosts(), planned=planned
    )
    return Engine(SCHEMA, documents, slow_work=DutyCycle(share=1))


async def answer(one: Engine, text: str, variables: dict[str, Any]) -> tuple[Any, list[str]]:
    """Returns an answer with its errors by path, and the calls."""
    request = Request()
    operation = await one.prepare(text, None, dict(variables), request)
    assert isinstance(operation, Operation), operation
    answered = await one.run(operation, request)
    return by_path(answered), request.calls


def without_chance(answer: Any) -> Any:
    """Returns an answer without the errors beside the one that ended it.

    Which of them are reported depends on what is done first.
    """
    return answer if answer["data"] is not None else {"data": None}


def variant_of(one: Engine, text: str, variables: dict[str, Any]) -> Variant | None:
    document = one.documents.known(text)
    assert isinstance(document, Document)
    (executable,) = document.operations.values()
    return executable.variant(variables)


@hypothesis.settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much],
)
@hypothesis.given(documents(), st.sampled_from(CONDITIONS))
def test_every_operation_is_planned_with_the_same_answer_and_each_root_field_resolved_once(
    document: tuple[str, bool], variables: dict[str, Any]
) -> None:
    text, mutates = document
    stock, plans = engine(Planned.NONE), engine(Planned.ALL)

    async def both() -> list[tuple[Any, list[str]]]:
        return [await answer(stock, text, variables), await answer(plans, text, variables)]

    with warnings.catch_warnings():
        # If a root field that must not be null raises, graphql-core cancels what it has not begun
        # to await.
        warnings.filterwarnings("ignore", ".*was never awaited", RuntimeWarning)
        (expected, calls), (planned, planned_calls) = asyncio.run(both())
        gc.collect()

    if mutates:
        assert planned == expected
    else:
        assert without_chance(planned) == without_chance(expected)
    # One after the other only in mutations.
    assert planned_calls == calls if mutates else sorted(planned_calls) == sorted(calls)
    variant = variant_of(plans, text, variables)
    assert variant
    assert variant.planning is Planning.PLANNED


@pytest.mark.parametrize(
    ("selected", "calls", "data"),
    [
        (
            "a: write(then: ANSWER) { number } b: write(then: RAISE_LATER) { number } c: count",
            ["write", "write", "count"],
            {"a": {"number": 1}, "b": None, "c": 3},
        ),
        ("a: count b: write(then: RAISE) { number }", ["count", "write"], {"a": 1, "b": None}),
        # The second one returns an object of a wrong type: it is not resolved again.
        (
            "a: count b: write(then: ANSWER_SOMETHING_ELSE) { title } c: count",
            ["count", "write", "count"],
            {"a": 1, "b": None, "c": 3},
        ),
        # A null in a non-null field ends the mutation: the next fields do not run.
        (
            "a: count mustDo(then: ANSWER_NULL) { __typename } c: count",
            ["count", "must_do"],
            None,
        ),
        (
            "write(then: ANSWER) { next(then: RAISE) { number } mustHave(then: RAISE) } count",
            ["write", "count"],
            {"write": None, "count": 2},
        ),
    ],
)
async def test_a_mutation_never_runs_twice(selected: str, calls: list[str], data: Any) -> None:
    stock, plans, text = engine(Planned.NONE), engine(Planned.ALL), f"mutation {{ {selected} }}"

    expected, planned = await answer(stock, text, {}), await answer(plans, text, {})

    assert planned == expected
    assert (planned[0]["data"], planned[1]) == (data, calls)


async def test_each_combination_of_conditions_has_a_plan_up_to_a_limit() -> None:
    names = "abcd"
    variables = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: greeting @include(if: ${name})" for name in names)
    plans, text = engine(Planned.ALL), f"query({variables}) {{ {fields} __typename }}"
    asked = [{name: bool(n >> i & 1) for i, name in enumerate(names)} for n in range(16)]

    answers = [(await answer(plans, text, each))[0] for each in asked]

    assert answers == [
        {"data": {name: "Hello" for name in names if each[name]} | {"__typename": "Query"}}
        for each in asked
    ]
    variants = [variant_of(plans, text, each) for each in asked]
    assert [bool(each and each.plan) for each in variants] == [n < MAX_VARIANTS for n in range(16)]


@pytest.mark.parametrize("value", ["yes", None, 1, 1.0, [], [True], {}, {"a": True}])
async def test_a_condition_that_is_not_a_boolean_is_refused_and_has_no_plan(value: Any) -> None:
    plans, text = engine(Planned.ALL), "query($a: Boolean!) { greeting @skip(if: $a) __typename }"
    # The plan of true, which equals 1.
    await answer(plans, text, {"a": True})

    refused, _ = await answer(plans, text, {"a": value})

    assert refused.code == "BAD_USER_INPUT"
    assert variant_of(plans, text, {"a": value}) is None


async def test_an_operation_whose_plan_would_be_too_large_has_none() -> None:
    # Each interface doubles what is below it.
    text = "number"
    for _ in range(12):
        text = f"... on Book {{ similar(then: ANSWER) {{ ... on Node {{ {text} }} }} }}"
    plans, text = engine(Planned.ALL), f"{{ node(then: ANSWER, isBook: true) {{ {text} }} }}"
    fields = "".join(f" f{n}: number" for n in range(MAX_FIELDS // 2))
    large = f"{{ node(then: ANSWER, isBook: true) {{ {fields} }} }}"

    for each in (text, large):
        answered, _ = await answer(plans, each, {})
        assert "errors" not in answered

    planned = [variant_of(plans, each, {}) for each in (text, large)]
    assert [bool(each and each.plan) for each in planned] == [True, False]
