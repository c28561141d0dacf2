"""What a Strawberry schema may do differently, answered by plans as by the stock executor."""

from collections.abc import Awaitable, Callable
from operator import getitem
from typing import Annotated, Any

import pytest
import strawberry
from strawberry.extensions import FieldExtension
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.types.field import StrawberryField

from app.engine.executable import Planned, Planning
from tests.engine.unusual_schema import Info, answer, engine, variant_of

CONFIG = StrawberryConfig(info_class=Info)


async def answers(schema: strawberry.Schema, text: str) -> tuple[Any, Any, bool]:
    """Returns answer and calls of the stock executor, those of a plan, and if there is one."""
    stock, plans = engine(Planned.NONE, schema), engine(Planned.ALL, schema)
    expected, planned = await answer(stock, text, {}), await answer(plans, text, {})
    variant = variant_of(plans, text, {})
    return expected, planned, bool(variant and variant.planning is Planning.PLANNED)


@strawberry.type
class Gone:
    reason: str


@strawberry.type
class Book:
    title: str = "Ubik"


class SoldOut(Exception):
    pass


BookOrGone = Annotated[Book | Gone, strawberry.union("BookOrGone")]


class GoneIfSoldOut(strawberry.ExceptionHandler[SoldOut, Gone]):
    def handle(self, exception: SoldOut, *, field: StrawberryField, info: Any) -> Gone:  # noqa: ARG002
        return Gone(reason=str(exception))


class Recording(FieldExtension):
    """A guard that also records outcomes."""

    async def admit(self, context: Any) -> None:
        context.calls.append("admit")

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: Any, **kwargs: Any
    ) -> Any:
        await self.admit(info.context)
        result = await next_(source, info, **kwargs)
        info.context.calls.append(type(result).__name__)
        return result


async def test_an_exception_handler_converts_what_a_resolver_raises() -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        async def book(self, info: Info) -> BookOrGone:
            info.context.calls.append("book")
            raise SoldOut("no more")

    schema = strawberry.Schema(Query, config=CONFIG, exception_handlers=[GoneIfSoldOut()])

    expected, planned, is_planned = await answers(schema, "{ book { ... on Gone { reason } } }")

    assert (planned, is_planned) == (expected, True)
    assert expected == ({"data": {"book": {"reason": "no more"}}}, ["book"])


async def test_an_extension_sees_which_outcome_of_a_union_a_resolver_returned() -> None:
    @strawberry.type
    class Query:
        @strawberry.field(extensions=[Recording()])
        async def book(self, info: Info) -> BookOrGone:
            info.context.calls.append("book")
            return Gone(reason="no more")

    expected, planned, is_planned = await answers(
        strawberry.Schema(Query, config=CONFIG), "{ book { ... on Gone { reason } } }"
    )

    assert (planned, is_planned) == (expected, True)
    assert expected == ({"data": {"book": {"reason": "no more"}}}, ["admit", "book", "Gone"])


async def test_a_default_resolver_reads_the_values_of_fields() -> None:
    @strawberry.type
    class Entry:
        # A method of every dict.
        items: JSON

    @strawberry.type
    class Query:
        @strawberry.field
        async def entry(self, info: Info) -> Entry:  # noqa: ARG002
            found: Any = {"items": "three"}
            return found

    config = StrawberryConfig(info_class=Info, default_resolver=getitem)

    expected, planned, is_planned = await answers(
        strawberry.Schema(Query, config=config), "{ entry { items } }"
    )

    assert (planned, is_planned) == (expected, True)
    assert expected == ({"data": {"entry": {"items": "three"}}}, [])


async def test_another_class_of_field_decides_how_its_value_is_read() -> None:
    class Shouting(StrawberryField):
        def get_result(self, source: Any, info: Any, args: Any, kwargs: Any) -> Any:
            return f"{super().get_result(source, info, args, kwargs)}!"

    @strawberry.type
    class Loud:
        title: str = Shouting(default="Ubik")  # type: ignore[assignment]

    @strawberry.type
    class Query:
        @strawberry.field
        async def book(self, info: Info) -> Loud:  # noqa: ARG002
            return Loud()

    expected, planned, is_planned = await answers(
        strawberry.Schema(Query, config=CONFIG), "{ book { title } }"
    )

    assert (planned, is_planned) == (expected, True)
    assert expected == ({"data": {"book": {"title": "Ubik!"}}}, [])


@pytest.mark.parametrize(
    "selected", ["missing { __typename }", "others { number } missing { number }"]
)
async def test_an_interface_may_have_no_types(selected: str) -> None:
    @strawberry.interface
    class Numbered:
        number: int

    @strawberry.type
    class Query:
        @strawberry.field
        async def missing(self, info: Info) -> Numbered | None:  # noqa: ARG002
            return None

        @strawberry.field
        async def others(self, info: Info) -> list[Numbered]:  # noqa: ARG002
            return []

    expected, planned, is_planned = await answers(
        strawberry.Schema(Query, config=CONFIG), f"{{ {selected} }}"
    )

    assert (planned, is_planned) == (expected, True)
    assert "errors" not in expected[0]


@pytest.mark.parametrize(
    "selected", ["broken { message }", "broken { __typename }", "any { __typename }"]
)
async def test_a_type_whose_objects_are_exceptions_is_always_an_error(selected: str) -> None:
    @strawberry.type
    class Broken(Exception):
        message: str = "broken"

    @strawberry.type
    class Query:
        @strawberry.field
        async def broken(self, info: Info) -> Broken | None:  # noqa: ARG002
            return Broken()

        @strawberry.field
        async def any(self, info: Info) -> Annotated[Book | Broken, strawberry.union("Any")] | None:  # noqa: ARG002
            return Broken()

    expected, planned, _ = await answers(
        strawberry.Schema(Query, config=CONFIG), f"{{ {selected} }}"
    )

    assert planned == expected
    assert [*expected[0]["data"].values()] == [None]
    assert len(expected[0]["errors"]) == 1
