"""Resolvers in the text of a plan: they say what they said, and are called only where they must."""

import runpy
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import pytest
import strawberry

from app.engine.plans import singles
from app.engine.plans.compiling import MAX_NESTING, compiled
from app.engine.plans.completion import Constant, Leaf, Many, NotAsPlanned, Part, Record

TEXT, NUMBER, ANY = Leaf(str, str), Leaf(int, int), Leaf(None, lambda value: value)
PUNCTUATION = "!"


@dataclass
class Row:
    id: int
    name: str
    others: list["Row"]

    def initial(self) -> str:
        return self.name[0]


def greeting(name: str) -> str:
    """One expression, and a docstring."""
    return f"Hello {name}{PUNCTUATION}"


@strawberry.type
class Person:
    row: strawberry.Private[Row]
    prefix: strawberry.Private[str]

    def name(self) -> str:
        return self.row.name

    def greeted(self) -> str:
        return greeting(self.row.name)

    def initial(self) -> str:
        return self.row.initial()

    def label(self) -> str:
        return f"{self.prefix}-{self.row.id:03}" if self.row.id else "nobody"

    def number(self) -> int:
        return -self.row.id + (2 if self.row.name == "Ada" and self.row.id > 0 else 1)

    def others(self) -> "list[Person]":
        return [Person(row=other, prefix=self.prefix) for other in self.row.others]

    def even(self) -> "list[Person]":
        return [Person(row=each, prefix="") for each in self.row.others if each.id % 2 == 0]

    def best_friend(self) -> "Person":
        return Person(row=self.row.others[0], prefix=self.prefix)

    def shouted(self) -> str:
        name = self.row.name
        return name.upper()

    def itself(self) -> "Person":
        return self


@strawberry.type
class Counted:
    row: strawberry.Private[Row]
    made: ClassVar[int] = 0

    def __post_init__(self) -> None:
        Counted.made += 1


RESOLVERS = {
    "name", "greeted", "greeting", "initial", "label", "number", "others", "even", "best_friend",
    "shouted", "itself", "last", "of_a_closure", "with_a_default",
}  # fmt: skip
ADA = Row(1, "Ada", [Row(2, "Grace", [Row(0, "Nil", [])]), Row(3, "Edith", [])])
PERSON = Person(row=ADA, prefix="p")


def closed_over(title: str) -> Callable[[Person], str]:
    def of_a_closure(person: Person) -> str:
        return title + person.row.name

    return of_a_closure


def with_a_default(person: Person, title: str = "Mx ") -> str:
    return title + person.row.name


def part(get: Callable[[Any], Any] | str, shape: Any = ANY) -> Part:
    return Part(get, shape)


@contextmanager
def calls() -> Generator[list[str]]:
    """Which functions of this module are called meanwhile."""
    called: list[str] = []

    def note(frame: FrameType, what: str, _: object) -> None:
        if what == "call" and frame.f_code.co_name in RESOLVERS:
            called.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    ("get", "answer"),
    [
        (Person.name, "Ada"),
        (Person.greeted, "Hello Ada!"),
        (Person.label, "p-001"),
        (Person.number, 1),
    ],
)
def test_what_is_one_expression_is_not_called(get: Any, answer: Any) -> None:
    complete = compiled(Record({"field": part(get)}))

    with calls() as called:
        assert complete(PERSON) == {"field": answer}

    assert called == []


@pytest.mark.parametrize(
    ("get", "answer", "expected"),
    [
        (Person.initial, "A", ["initial"]),
        (Person.shouted, "ADA", ["shouted"]),
        (closed_over("Dr "), "Dr Ada", ["of_a_closure"]),
        (with_a_default, "Mx Ada", ["with_a_default"]),
    ],
)
def test_what_is_more_is_called(get: Any, answer: Any, expected: list[str]) -> None:
    complete = compiled(Record({"field": part(get)}))

    with calls() as called:
        assert complete(PERSON) == {"field": answer}

    assert called == expected


def test_objects_between_are_not_made() -> None:
    friends = Many(Record({"name": part(Person.name, TEXT), "label": part(Person.label, TEXT)}))
    friend = Record({"others": part(Person.others, friends), "kind": Constant("Person")})
    complete = compiled(
        Record({"all": part(Person.others, friends), "best": part(Person.best_friend, friend)})
    )

    with calls() as called:
        answer = complete(PERSON)

    everybody = [{"name": "Grace", "label": "p-002"}, {"name": "Edith", "label": "p-003"}]
    others = [{"name": "Nil", "label": "nobody"}]
    assert answer == {"all": everybody, "best": {"others": others, "kind": "Person"}}
    assert called == []


def test_an_object_is_made_for_a_resolver_that_is_called() -> None:
    each = Record({"name": part(Person.name), "shouted": part(Person.shouted)})
    complete = compiled(Record({"others": part(Person.others, Many(each))}))

    with calls() as called:
        answer = complete(PERSON)

    grace, edith = {"name": "Grace", "shouted": "GRACE"}, {"name": "Edith", "shouted": "EDITH"}
    assert (answer, called) == ({"others": [grace, edith]}, ["shouted", "shouted"])


def test_a_condition_in_a_list_is_left_to_the_resolver() -> None:
    complete = compiled(
        Record({"even": part(Person.even, Many(Record({"name": part(Person.name)})))})
    )

    assert complete(PERSON) == {"even": [{"name": "Grace"}]}


def test_a_part_that_takes_work_is_worked_out_once() -> None:
    both = Record({"one": part("row", Record({"id": part("id")})), "two": part(Person.name)})
    complete = compiled(Record({"best": part(best_of_all, both)}))

    with calls() as called:
        assert complete(PERSON) == {"best": {"one": {"id": 3}, "two": "Edith"}}

    assert called == ["last"]


def last(row: Row) -> Row:
    assert row.others
    return row.others[-1]


def best_of_all(person: Person) -> Person:
    return Person(row=last(person.row), prefix=person.prefix)


def counted(person: Person) -> Counted:
    return Counted(row=person.row)


def test_an_object_that_does_something_when_it_is_made_is_made() -> None:
    complete = compiled(Record({"counted": part(counted, Record({"row": part("row")}))}))
    Counted.made = 0

    assert complete(PERSON) == {"counted": {"row": ADA}}
    assert Counted.made == 1


def test_deeper_than_python_nests_is_as_right() -> None:
    row, shape = Row(0, "Nil", []), Record({"name": part(Person.name)})
    answer: Any = {"name": "Nil"}
    for _ in range(MAX_NESTING * 2):
        row, answer = Row(1, "Ada", [row]), {"others": [answer]}
        shape = Record({"others": part(Person.others, Many(shape))})

    assert compiled(shape)(Person(row=row, prefix="")) == answer


@pytest.mark.parametrize("value", [None, 3])
def test_what_is_not_as_the_schema_says_is_not_written(value: Any) -> None:
    broken = Person(row=Row(1, value, []), prefix="p")

    with pytest.raises(NotAsPlanned):
        compiled(Record({"name": part(Person.name, Leaf(str, _refuse))}))(broken)


def _refuse(_: object) -> str:
    raise NotAsPlanned


def test_a_source_that_is_not_what_runs_is_not_read(
    tmp_path: Path,
) -> None:
    """As where a new version has been installed under a server that runs."""
    module = tmp_path / "resolvers.py"
    module.write_text("def name(person):\n    return person.row.name\n")
    function = runpy.run_path(str(module))["name"]
    module.write_text("def name(person):\n    return person.row.password\n")

    assert singles.single_of(function) is None
    assert compiled(Record({"name": part(function, TEXT)}))(PERSON) == {"name": "Ada"}
