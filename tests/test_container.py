"""The container: services are created once, by the types of their parameters."""

from dataclasses import dataclass

import pytest

from app.container import Container
from app.errors import Misconfigured

HERE = "tests/test_container.py, line "


@dataclass
class Numbers:
    """A service without dependencies."""

    made: int


@dataclass
class Words:
    numbers: Numbers


@dataclass
class Sentences:
    words: Words
    numbers: Numbers
    language: str = "en"


@dataclass
class Chicken:
    egg: "Egg"


@dataclass
class Egg:
    chicken: Chicken


def numbers() -> Numbers:
    return Numbers(1)


def other_numbers() -> Numbers:
    return Numbers(2)


def unannotated():  # noqa: ANN201 - what the test is about
    return Numbers(3)


def problem(*providers: object) -> str:
    with pytest.raises(Misconfigured) as raised:
        Container(providers, {}).make_all()  # pyright: ignore[reportArgumentType] - some are wrong
    return str(raised.value)


def test_a_service_receives_others_by_their_types() -> None:
    container = Container((Words, numbers), {})

    assert container[Words] == Words(Numbers(1))


def test_a_service_is_created_once() -> None:
    container = Container((Sentences, Words, numbers), {})
    sentences = container[Sentences]

    assert container[Sentences] is sentences
    assert sentences.numbers is sentences.words.numbers is container[Numbers]


def test_all_services_are_created_by_one_call() -> None:
    made: list[Numbers] = []

    def recorded() -> Numbers:
        made.append(Numbers(1))
        return made[0]

    Container((Words, recorded), {}).make_all()

    assert made == [Numbers(1)]


def test_an_existing_instance_is_used() -> None:
    existing = Numbers(7)

    assert Container((Words, numbers), {Numbers: existing})[Words].numbers is existing


def test_a_parameter_keeps_its_default_unless_its_type_is_provided() -> None:
    assert Container((Sentences, Words, numbers), {})[Sentences].language == "en"
    assert Container((Sentences, Words, numbers), {str: "de"})[Sentences].language == "de"


def test_a_missing_service_is_reported_with_what_needs_it_and_where() -> None:
    message = problem(Words)

    assert message.startswith("No module provides Numbers, which Words (")
    assert HERE in message


def test_a_service_that_is_provided_twice_is_reported_with_both_locations() -> None:
    message = problem(numbers, other_numbers)

    assert message.startswith("Numbers is provided twice: numbers (")
    assert " and other_numbers (" in message
    assert message.count(HERE) == 2


def test_a_circular_dependency_is_reported() -> None:
    assert problem(Chicken, Egg) == "Circular dependency: Chicken needs Egg needs Chicken"


def test_a_provider_without_a_return_annotation_is_reported() -> None:
    message = problem(unannotated)

    assert message.startswith("unannotated (")
    assert message.endswith(") has no return annotation")
