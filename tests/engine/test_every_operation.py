"""Plans against the stock executor, on a schema with all kinds of types and failing resolvers."""

import asyncio
import gc
import warnings
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

import hypothesis
import pytest
import strawberry
from hypothesis import strategies as st

from app.engine.engine import core_schema
from app.engine.executable import MAX_VARIANTS, Planned, Planning
from app.engine.plans.plan import MAX_FIELDS
from tests.engine.answers import order_of_keys
from tests.engine.random_documents import EXAMPLES, Sample, random_document
from tests.engine.unusual_schema import SCHEMA, answer, engine, variant_of

STOCK, PLANS = engine(Planned.NONE), engine(Planned.ALL)


@st.composite
def samples(draw: st.DrawFn) -> tuple[str, Sample]:
    """The kind of an operation, and a document with it."""
    kind = draw(st.sampled_from(["query", "mutation"]))
    sample = random_document(core_schema(SCHEMA), Random(draw(st.integers(0, 2**32))), kind)  # noqa: S311
    hypothesis.assume(sample)
    assert sample
    return kind, sample


def without_chance(answer: Any) -> Any:
    """Returns an answer without the errors beside the one that ended it.

    Which of them are reported depends on what is done first.
    """
    return answer if answer["data"] is not None else {"data": None}


@pytest.fixture
def coroutines_may_be_left() -> Iterator[None]:
    """If a root field that must not be null raises, graphql-core does not await all others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*was never awaited", RuntimeWarning)
        yield
        gc.collect()


@pytest.mark.usefixtures("coroutines_may_be_left")
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
@hypothesis.given(samples())
def test_every_operation_is_planned_with_the_same_answer_and_each_root_field_resolved_once(
    drawn: tuple[str, Sample],
) -> None:
    kind, (text, variables) = drawn

    async def all_answers() -> list[tuple[Any, list[str]]]:
        # The second time, a plan must not show what the first request did.
        engines = (STOCK, PLANS, PLANS)
        return [await answer(each, text, deepcopy(variables)) for each in engines]

    (expected, calls), *planned = asyncio.run(all_answers())

    for answered, calls_of_plan in planned:
        if kind == "mutation":
            assert (answered, calls_of_plan) == (expected, calls)
        else:
            assert without_chance(answered) == without_chance(expected)
            assert sorted(calls_of_plan) == sorted(calls)
        assert order_of_keys(answered["data"]) == order_of_keys(expected["data"])
    variant = variant_of(PLANS, text, variables)
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


async def both(text: str, schema: strawberry.Schema = SCHEMA) -> tuple[Any, list[Any]]:
    """Returns an answer of the stock executor, and three of one plan."""
    stock, plans = engine(Planned.NONE, schema), engine(Planned.ALL, schema)
    expected = await answer(stock, text, {})
    planned = [await answer(plans, text, {}) for _ in range(3)]
    variant = variant_of(plans, text, {})
    assert variant
    assert variant.planning is Planning.PLANNED
    return expected, planned


@pytest.mark.parametrize(
    ("selected", "data"),
    [
        (
            "function a: function(number: 4) functionOfRoot functionOfParent root",
            {
                "function": "function 3",
                "a": "function 4",
                "functionOfRoot": "functionOfRoot None",
                "functionOfParent": "functionOfParent None",
                "root": "None",
            },
        ),
        ("a: place", {"a": "a None Query [1, 2]"}),
        (
            "a: book(then: ANSWER) { place } node(then: ANSWER, isBook: true) { __typename }",
            {"a": {"place": "a.place"}, "node": {"__typename": "Book"}},
        ),
        (
            "items(then: ANSWER) { ... on Book { place } }",
            {"items": [{"place": "items.0.place"}, {}, {}, None]},
        ),
        (
            """ book(then: ANSWER) { ...A ...A } book(then: ANSWER) { ...A language } }
            fragment A on Book { language ... { language }""",
            {"book": {"language": "language of 3"}},
        ),
        (
            'tagged a: tagged(tags: ["b"]) filtered(by: {tags: ["c"]}, also: {n: 1})',
            {
                "tagged": "default more",
                "a": "b more",
                "filtered": "c more {'n': 1, 'more': True}",
            },
        ),
    ],
    ids=["functions", "path", "path below", "path in lists", "selected twice", "changed arguments"],
)
async def test_a_resolver_gets_what_the_stock_executor_passes(selected: str, data: Any) -> None:
    expected, planned = await both(f"{{ {selected} }}")

    assert planned == [expected] * 3
    assert expected[0] == {"data": data}


@pytest.mark.parametrize("then", ["ANSWER_AWAITABLE", "ANSWER_EXCEPTION", "ANSWER_UNDEFINED"])
@pytest.mark.parametrize(
    "selected",
    [
        "song(then: {}) {{ __typename }}",
        "song(then: {}) {{ language }}",
        "anything(then: {})",
        "filtered(by: {{then: {}}})",
        "book(then: ANSWER) {{ mustHave(then: {}) }}",
        "others(then: {}) {{ __typename }}",
    ],
)
async def test_what_only_the_stock_executor_completes_is_left_to_it(
    then: str, selected: str
) -> None:
    expected, planned = await both(f"{{ {selected.format(then)} }}")

    assert planned == [expected] * 3


async def test_such_items_of_lists_are_left_to_it_too() -> None:
    text = """{
      others(then: ANSWER) { __typename }
      a: others(then: ANSWER) { language }
      mustHave(then: ANSWER) { song { __typename } others { __typename } details }
    }"""

    expected, planned = await both(text)

    assert planned == [expected] * 3
    song, none = {"__typename": "Song"}, [None, None, None]
    assert expected[0]["data"] == {
        "others": [song, song, *none],
        "a": [{"language": "language"}, {"language": "language"}, *none],
        "mustHave": {
            "song": None,
            "others": [song, song, *none],
            "details": [{"number": 2}, {"number": 2}, *none],
        },
    }
