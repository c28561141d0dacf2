"""Shapes compiled into functions: attributes are read, methods are called, values are checked."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from graphql import GraphQLBoolean, GraphQLInt, GraphQLScalarType, GraphQLString

from app.engine.attributes import Attribute
from app.engine.plans.compiling import MAX_NESTING, compiled
from app.engine.plans.completion import (
    Constant,
    Leaf,
    Many,
    NotAsPlanned,
    Part,
    Record,
    Shape,
    leaf,
)


def _in_utc(value: datetime) -> datetime:
    return value if value.tzinfo is UTC else value.astimezone(UTC)


TEXT, MAYBE_TEXT = leaf(GraphQLString, nullable=False), leaf(GraphQLString, nullable=True)
NUMBER, MAYBE_NUMBER = leaf(GraphQLInt, nullable=False), leaf(GraphQLInt, nullable=True)
TRUTH = leaf(GraphQLBoolean, nullable=False)
MOMENT = leaf(GraphQLScalarType("DateTime", serialize=_in_utc), nullable=False)
MOMENT_AS_TEXT = leaf(
    GraphQLScalarType("DateTime", serialize=lambda value: value.isoformat()), nullable=False
)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOON_IN_BERLIN = NOON.astimezone(timezone(timedelta(hours=1)))


@dataclass
class Row:
    name: Any
    age: Any = None


@dataclass
class Person:
    held: Any
    friends: Any = field(default_factory=list["Person"])
    calls: list[str] = field(default_factory=list[str])

    @property
    def row(self) -> Row:
        self.calls.append("row")
        return self.held

    def greeting(self) -> str:
        self.calls.append("greeting")
        return f"Hello {self.held.name}"


def at(path: str, shape: Shape = TEXT, convert: Any = None) -> Part:
    return Part(Attribute(tuple(path.split(".")), convert), shape)


def person(name: Any = "Ada", age: Any = 36, *friends: Person) -> Person:
    return Person(Row(name, age), [*friends])


def test_attributes_are_read_at_any_path() -> None:
    complete = compiled(Record({"name": at("held.name"), "years": at("held.age", NUMBER)}))

    assert complete(person()) == {"name": "Ada", "years": 36}


def test_an_object_at_a_path_is_read_once_for_all_its_attributes() -> None:
    ada = person()
    complete = compiled(Record({"name": at("row.name"), "age": at("row.age", NUMBER)}))

    assert complete(ada) == {"name": "Ada", "age": 36}
    assert ada.calls == ["row"]


def test_a_conversion_is_called_with_every_value_including_none() -> None:
    complete = compiled(Record({"age": at("held.age", TEXT, repr)}))

    assert [complete(person(age=age)) for age in (36, None)] == [{"age": "36"}, {"age": "None"}]


def test_a_method_is_called_for_each_field_that_selects_it() -> None:
    greeting, ada = Part(Person.greeting, TEXT), person()
    complete = compiled(Record({"a": greeting, "b": greeting}))

    assert complete(ada) == {"a": "Hello Ada", "b": "Hello Ada"}
    assert ada.calls == ["greeting", "greeting"]


def test_fields_are_answered_in_the_order_in_which_they_are_selected() -> None:
    parts = {"b": at("held.name"), "__typename": Constant("Person"), "a": at("held.name")}

    answer = compiled(Record(parts))(person())

    assert list(answer.items()) == [("b", "Ada"), ("__typename", "Person"), ("a", "Ada")]


def test_nested_lists_and_objects_are_completed() -> None:
    friend = Record({"name": at("held.name")}, nullable=True)
    complete = compiled(Record({"friends": at("friends", Many(friend, nullable=True))}))
    answers = [complete(Person(Row("Ada"), friends)) for friends in (None, [], [person(), None])]

    assert answers == [{"friends": None}, {"friends": []}, {"friends": [{"name": "Ada"}, None]}]


@pytest.mark.parametrize("levels", [MAX_NESTING - 1, MAX_NESTING * 4])
def test_shapes_deeper_than_the_nesting_limit_of_python_are_completed(levels: int) -> None:
    someone, shape, answer = person("Nil"), Record({"name": at("held.name")}), {"name": "Nil"}
    nested: Any = answer
    for _ in range(levels):
        someone = person("Ada", 36, someone)
        shape, nested = Record({"friends": at("friends", Many(shape))}), {"friends": [nested]}

    assert compiled(shape)(someone) == nested


@pytest.mark.parametrize(
    ("shape", "value", "answer"),
    [
        (TEXT, "Ada", "Ada"),
        (TEXT, 3, "3"),
        (TEXT, True, "true"),
        (MAYBE_TEXT, None, None),
        (TRUTH, True, True),
        (NUMBER, 3.0, 3),
        (MAYBE_NUMBER, None, None),
        (MOMENT, NOON, NOON),
        (MOMENT, NOON_IN_BERLIN, NOON),
        (MOMENT_AS_TEXT, NOON, "2026-01-31T12:00:00+00:00"),
    ],
)
def test_a_leaf_is_converted_by_its_type(shape: Leaf, value: Any, answer: Any) -> None:
    (written,) = compiled(Record({"name": at("held.name", shape)}))(person(value)).values()

    assert (written, type(written)) == (answer, type(answer))
    assert not isinstance(written, datetime) or written.tzinfo is UTC


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (TEXT, None),
        (NUMBER, None),
        (Record({}), None),
        (Many(TEXT), None),
        (Many(TEXT), ("a", "tuple")),
        (Many(TEXT), [None]),
        (Many(Record({})), [None]),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_left_to_the_stock_executor(
    shape: Shape, value: Any
) -> None:
    with pytest.raises(NotAsPlanned):
        compiled(Record({"name": at("held.name", shape)}))(person(value))


@pytest.mark.parametrize("value", ["thirty", 2**40, object()])
def test_an_error_in_the_conversion_of_a_leaf_is_raised(value: object) -> None:
    with pytest.raises(Exception, match=r"Int cannot represent"):
        compiled(Record({"age": at("held.age", NUMBER)}))(person(age=value))


@pytest.mark.parametrize("names", [(), ("",), ("a b",), ("row", "1"), ("row", "class"), ("x()",)])
def test_a_path_has_only_python_identifiers(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="is not the path of an attribute"):
        Attribute(names)
