"""Limits on documents: at each limit, against a reference implementation, and in linear time."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping

import pytest
from graphql import DocumentNode, parse
from hypothesis import given

from app.engine.limits import CEILING, DocumentLimits, Excess, Size
from tests.support.documents import (
    AT_LEISURE,
    INTROSPECTION,
    REFETCH,
    Reference,
    document_with,
    documents,
    doubling,
    measured,
    nested,
    page_values,
    wide,
)

NESTED_PAGES = "users(first: $page) { nodes { sessions(first: $page) { nodes { id } } } }"


EDGES = {
    "depth": (12, "The document is nested 13 levels deep; 12 are allowed."),
    "introspection_depth": (16, "The introspection is nested 17 levels deep; 16 are allowed."),
    "fields": (400, "The document selects 401 fields; 400 are allowed."),
    "aliases": (15, "The document uses 16 aliases; 15 are allowed."),
    "root_fields": (8, "The operation selects 9 root fields; 8 are allowed."),
    "fragments": (20, "The document has 21 fragments; 20 are allowed."),
    "spreads": (60, "The document spreads fragments 61 times; 60 are allowed."),
    "directives": (30, "The document has 31 directives; 30 are allowed."),
    "operations": (5, "The document has 6 operations; 5 are allowed."),
    "credentials": (1, "The operation selects 2 fields that test a credential; 1 is allowed."),
    "cost": (10_000, "The operation costs 10,001; 10,000 are allowed."),
}


@pytest.mark.parametrize("limit", EDGES)
def test_a_document_at_a_limit_passes_and_one_beyond_is_refused_with_the_name_of_the_limit(
    limit: str,
) -> None:
    allowed, message = EDGES[limit]
    excess = Excess(limit, allowed, allowed + 1)

    at_the_edge = measured(document_with(limit, allowed))
    beyond = measured(document_with(limit, allowed + 1))

    assert at_the_edge.excess is None
    assert beyond.excess == excess
    assert excess.message == message


@AT_LEISURE
@given(documents())
def test_the_linear_measurement_agrees_with_one_that_expands_every_fragment(text: str) -> None:
    expected = Reference(parse(text), page="the largest").sizes()

    found = measured(text).operations

    assert {name: {key: found[name][key] for key in expected[name]} for name in found} == expected


@AT_LEISURE
@given(documents(), page_values)
def test_the_cost_with_variables_agrees_with_a_measurement_that_expands_every_fragment(
    text: str, page: object
) -> None:
    document = parse(text)
    expected = Reference(document, page).sizes()["Q0"]["cost"]

    excess = measured(document, DocumentLimits(cost=0)).check_variables("Q0", {"page": page})

    assert excess == (Excess("cost", 0, expected) if expected else None)


@AT_LEISURE
@given(documents(cyclic=True))
def test_cyclic_fragments_are_measured_with_finite_numbers(text: str) -> None:
    operations = measured(text).operations

    assert [*operations] == ["Q0", "Q1"]
    assert all(0 <= number <= CEILING for size in operations.values() for number in size.values())


def test_a_cycle_of_fragments_counts_up_to_the_spread_that_closes_it() -> None:
    cycle = "{ ...A } fragment A on T { a { ...B } } fragment B on T { b { ...A } }"

    found = measured(cycle)

    assert found.excess is None
    assert found.operations[None] == Size(fields=2, depth=2, spreads=3, root_fields=1, cost=2)


@pytest.mark.parametrize(
    "selections",
    [
        "a: login b: register }",
        "login { id } login { email } }",
        "login ... { login } }",
        "login ... on Mutation { ... @include(if: true) { login } } }",
        "login ...F } fragment F on Mutation { register }",
        "...F ...F } fragment F on Mutation { login }",
        "...F login } fragment F on Mutation { ...G } fragment G on Mutation { a: login }",
        "logout } mutation B { login login }",
    ],
)
def test_an_operation_may_test_one_credential_in_any_notation(selections: str) -> None:
    assert measured("mutation A { " + selections).excess == Excess("credentials", 1, 2)


def test_each_operation_may_test_a_credential_and_deeper_fields_of_the_same_name_do_not_count() -> (
    None
):
    one_each = "mutation A { ...F } mutation B { ...F } fragment F on M { login { login login } }"

    assert measured(one_each).excess is None


@pytest.mark.parametrize(
    "document",
    [
        "{ me { ...Nowhere } }",
        "{ nonsense(first: { a: [1] }) { x } }",
        "{ me } { me }",
        "{ ...F } fragment F on T { id } fragment F on T { id }",
        "{ me } fragment Unused on T { id }",
        "{ me { } }",
        "fragment Alone on T { id }",
        "type T @d { id: ID } extend schema @d directive @d on FIELD",
        "subscription { users(first: $undeclared) { id } }",
    ],
)
def test_invalid_documents_are_measured_without_an_error(document: str) -> None:
    assert measured(document).excess is None


def test_an_unused_fragment_cannot_hide_a_large_document_from_the_limits() -> None:
    unused = f"{{ me }} {doubling(9).replace('{ ...F0 }', '')}"

    assert measured(unused).excess == Excess("fields", 400, 512)


@pytest.mark.parametrize("document", [INTROSPECTION, REFETCH], ids=["GraphiQL", "Relay"])
def test_documents_of_common_tools_pass(document: str) -> None:
    assert measured(document).excess is None


@pytest.mark.parametrize(
    ("arguments", "entries"),
    [
        ("", 50),
        ('(after: "x")', 50),
        ("(first: 7)", 7),
        ("(first: null)", 50),
        ("(first: 0)", 0),
        ("(first: -1)", 0),
        (f"(first: -{'9' * 5_000})", 0),
        (f"(first: {'9' * 5_000})", 100),
        ("(first: 3, last: 5)", 5),
        ("(first: 3, first: 9)", 9),
        ('(first: "3")', 100),
        ("(first: $page)", 100),
        ("(first: 3, last: $page)", 100),
    ],
)
def test_the_size_of_a_page_multiplies_the_cost_of_its_fields(arguments: str, entries: int) -> None:
    document = f"query ($page: Int) {{ users{arguments} {{ nodes {{ id }} }} }}"

    assert measured(document).operations[None]["cost"] == 1 + entries * 2


@pytest.mark.parametrize(
    ("document", "cost"),
    [
        ("{ users { totalCount } }", 1 + 2_000),
        ("{ users(first: 0) { totalCount } }", 1 + 2_000),
        ("{ users(first: 100) { totalCount } }", 1 + 2_000),
        ("{ totalCount }", 2_000),
        ("{ users { ... { totalCount } } }", 1 + 2_000),
        ("{ users { ...F } } fragment F on T { totalCount }", 1 + 2_000),
        ("{ ...F } fragment F on T { users { ...G } } fragment G on T { totalCount }", 1 + 2_000),
        ("{ users { ...F } } fragment F on T { ...G } fragment G on T { totalCount }", 1 + 2_000),
        ("{ users { a: totalCount b: totalCount } }", 1 + 2 * 2_000),
        (
            "{ users(first: 2) { ...F } } fragment F on T { nodes { totalCount } }",
            1 + 2 + 2 * 2_000,
        ),
        (
            "{ users(first: 3) { nodes { sessions(first: 9) { totalCount } } } }",
            1 + 3 + 3 + 3 * 2_000,
        ),
    ],
)
def test_a_field_with_a_weight_costs_it_once_for_each_page(document: str, cost: int) -> None:
    assert measured(document).operations[None]["cost"] == cost


def test_aliases_do_not_multiply_a_field_with_a_weight_beyond_the_limit() -> None:
    def counts(number: int) -> str:
        return f"{{ users {{ {' '.join(f'a{n}: totalCount' for n in range(number))} }} }}"

    assert measured(counts(4)).excess is None
    assert measured(counts(5)).excess == Excess("cost", 10_000, 10_001)


@pytest.mark.parametrize(
    ("definition", "variables", "cost"),
    [
        ("$page: Int", {"page": 71}, 10_225),
        ("$page: Int", {"page": 71.0}, 10_225),
        ("$page: Int", {"page": 1_000}, 20_201),
        ("$page: Int", {"page": "5"}, 20_201),
        ("$page: Int", {"page": True}, 20_201),
        ("$page: Int", {"page": float("nan")}, 20_201),
        ("$page: Int = 71", None, 10_225),
        ("$page: Int = 100", {"page": 70}, None),
        ("$page: Int = 100", {"page": None}, None),
        ("$page: Int = 70", {}, None),
        ("$page: Int", {}, None),
        ("$other: Int", {"other": 1}, 20_201),
    ],
)
def test_the_cost_of_pages_depends_on_the_variables_of_the_request(
    definition: str, variables: Mapping[str, object] | None, cost: int | None
) -> None:
    excess = Excess("cost", 10_000, cost) if cost else None

    found = measured(f"query Q({definition}) {{ {NESTED_PAGES} }}")

    assert found.excess is None
    assert found.check_variables("Q", variables) == excess
    assert found.check_variables(None, variables) == excess


def test_a_cost_too_high_with_any_variables_is_refused_at_once() -> None:
    fixed = NESTED_PAGES.replace("$page", "100")

    found = measured(f"query ($page: Int) {{ {fixed} other: {NESTED_PAGES} }}")

    assert found.excess == Excess("cost", 10_000, 20_202)


def test_an_unknown_operation_has_no_cost() -> None:
    found = measured(f"query A($page: Int) {{ {NESTED_PAGES} }} query B {{ me }}")

    assert found.check_variables("C", {"page": 100}) is None
    assert found.check_variables(None, {"page": 100}) is None


def test_counts_are_capped_and_the_message_says_so() -> None:
    excess = Excess("fields", 400, CEILING)

    found = measured(doubling(60), DocumentLimits(fragments=100))

    assert found.excess == excess
    assert "1,000,000,000 or more fields" in excess.message


def test_the_deepest_document_that_parses_is_measured_without_recursion() -> None:
    found = measured(f"{{ {nested(200)} }}")

    assert found.excess == Excess("depth", 12, 200)


@pytest.mark.parametrize("hostile", [doubling, wide])
def test_twice_the_document_is_at_most_twice_the_work(hostile: Callable[[int], str]) -> None:
    some, twice = parse(hostile(60)), parse(hostile(120))

    assert work(twice) <= 2 * work(some)


def work(document: DocumentNode) -> int:
    """Counts calls: unlike seconds, they are the same on every machine."""
    calls = Counter[str]()
    before = sys.getprofile()
    sys.setprofile(lambda _frame, event, _argument: calls.update([event]))
    try:
        measured(document)
    finally:
        sys.setprofile(before)
    return calls["call"] + calls["c_call"]
