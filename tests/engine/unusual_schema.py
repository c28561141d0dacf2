"""A schema with all kinds of types, whose resolvers do whatever a resolver can do."""

import asyncio
import enum
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Annotated, Any

import strawberry
from graphql import Undefined
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from app.engine.attributes import Attribute, attribute_field
from app.engine.context import FieldInfo, Requester
from app.engine.documents import Document, Documents
from app.engine.duty_cycle import DutyCycle
from app.engine.engine import Engine, Operation, core_schema
from app.engine.executable import Planned, Variant
from app.engine.limits import DocumentLimits, FieldCosts
from tests.engine.answers import by_path

UNLIMITED = DocumentLimits(**dict.fromkeys(DocumentLimits.__dataclass_fields__, 10**9))
REQUESTER = Requester("someone")
SOMETHING_ELSE = object()


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
    ANSWER_AWAITABLE = "answer what has to be awaited again"
    ANSWER_EXCEPTION = "return an exception instead of raising it"
    ANSWER_UNDEFINED = "answer undefined"
    RAISE = "raise"
    RAISE_LATER = "raise later"
    RAISE_GROUP = "raise several exceptions"


async def do(then: Then, answer: Any) -> Any:
    if then in {Then.ANSWER_LATER, Then.RAISE_LATER}:
        await asyncio.sleep(0)
    if then in {Then.RAISE, Then.RAISE_LATER}:
        raise ValueError(then)
    if then is Then.RAISE_GROUP:
        raise ExceptionGroup("two", [ValueError(then), KeyError(then)])
    return answered_instead(then, answer)


def answered_instead(then: Then, answer: Any) -> Any:
    if then is Then.ANSWER_AWAITABLE:
        return Soon(answer)
    return {
        Then.ANSWER_NULL: None,
        Then.ANSWER_SOMETHING_ELSE: SOMETHING_ELSE,
        Then.ANSWER_EXCEPTION: ValueError(then),
        Then.ANSWER_UNDEFINED: Undefined,
    }.get(then, answer)


@dataclass
class Soon:
    """Has to be awaited; unlike a coroutine, it may also be left alone."""

    answer: Any

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from asyncio.sleep(0).__await__()
        return self.answer


def with_others(*items: Any) -> list[Any]:
    """Returns a list that also has items of each kind that only the stock executor completes."""
    return [*items, Soon(items[0]), ValueError("an item"), Undefined, None]


def tagged(tags: list[str]) -> str:
    """Changes its argument, as the resolver of one request may."""
    tags.append("more")
    return " ".join(tags)


def changed(value: Any) -> Any:
    if isinstance(value, dict):
        value["more"] = True
    return value  # pyright: ignore[reportUnknownVariableType]


def place(info: Any) -> str:
    return ".".join(map(str, info.path.as_list()))


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
    async def place(self, info: Info) -> str:
        return place(info)

    # Neither these nor the object are needed for the answer.
    @strawberry.field
    async def language(self, info: Info) -> str:
        return f"{info.field_name} of {len(info.raw.field_nodes)}"

    @strawberry.field
    async def similar(self, info: Info, then: Then) -> list["Item"]:
        assert info.names_below is not None
        return await do(then, [Film(known_number=2), Book(row=Row(3))])


@strawberry.type
class Song:
    words: str | None = None

    @strawberry.field
    async def language(self, info: Info) -> str:
        return info.field_name


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

    @strawberry.field
    def others(self) -> list[Song | None] | None:
        return with_others(Song())

    @strawberry.field
    def song(self) -> Song | None:
        return Soon(Song()) if self.known_number % 2 else ValueError("a song")  # type: ignore[return-value]

    @strawberry.field
    def details(self) -> list[JSON | None]:
        return with_others({"number": self.known_number})


@strawberry.input
class Filter:
    tags: list[str] = strawberry.field(default_factory=lambda: ["default"])
    then: Then | None = Then.ANSWER


@strawberry.input(one_of=True)
class Choice:
    tags: strawberry.Maybe[list[str]]
    number: strawberry.Maybe[int]


async def function(info: Info, number: int = 3) -> str:
    """A resolver that takes no object."""
    return f"{info.field_name} {number}"


async def function_of_root(root: Any, info: Info) -> str:
    return f"{info.field_name} {root}"


async def function_of_parent(parent: strawberry.Parent[Any], info: Info) -> str:
    return f"{info.field_name} {parent}"


Item = Annotated[Book | Film | Song, strawberry.union("Item")]
BOOK, FILM, SONG = Book(row=Row(1)), Film(known_number=2), Song()


@strawberry.type
class Query:
    @strawberry.field
    def greeting(self) -> str:
        return "Hello"

    function: str = strawberry.field(resolver=function)
    function_of_root: str = strawberry.field(resolver=function_of_root)
    function_of_parent: str = strawberry.field(resolver=function_of_parent)

    @strawberry.field
    def root(self) -> str:
        return repr(self)

    @strawberry.field
    async def place(self, info: Info) -> str:
        info.context.calls.append("place")
        helped = await info.raw.async_helpers.gather([Soon(1), Soon(2)])
        return f"{place(info)} {self} {info.path.typename} {helped}"

    @strawberry.field
    async def tagged(self, info: Info, tags: list[str] = ["default"]) -> str:  # noqa: B006
        info.context.calls.append("tagged")
        return tagged(tags)

    @strawberry.field
    async def filtered(self, info: Info, by: Filter, also: JSON | None = None) -> str | None:
        info.context.calls.append("filtered")
        also_changed = changed(also)
        return await do(by.then or Then.ANSWER_NULL, f"{tagged(by.tags)} {also_changed}")

    @strawberry.field
    async def chosen(self, info: Info, by: Choice | None = None) -> str:
        info.context.calls.append("chosen")
        return repr(by)

    @strawberry.field
    async def anything(self, info: Info, then: Then) -> JSON | None:
        info.context.calls.append("anything")
        return await do(then, {"title": "Ubik"})

    @strawberry.field
    async def song(self, info: Info, then: Then) -> Song | None:
        info.context.calls.append("song")
        return await do(then, SONG)

    @strawberry.field
    async def others(self, info: Info, then: Then) -> list[Song | None] | None:
        info.context.calls.append("others")
        return await do(then, with_others(SONG))

    @strawberry.field
    async def shelves(self, info: Info, then: Then) -> list[list[Item | None] | None] | None:
        info.context.calls.append("shelves")
        return await do(then, [[BOOK, None], None, [], with_others(FILM), with_others(SONG)])

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


def engine(planned: Planned, schema: strawberry.Schema = SCHEMA) -> Engine:
    core = core_schema(schema)
    documents = Documents(schema=core, limits=UNLIMITED, costs=FieldCosts(), planned=planned)
    return Engine(schema, documents, slow_work=DutyCycle(share=1))


async def answer(one: Engine, text: str, variables: dict[str, Any]) -> tuple[Any, list[str]]:
    """Returns an answer with its errors by path, and the calls."""
    request = Request()
    operation = await one.prepare(text, None, dict(variables), request)
    assert isinstance(operation, Operation), operation
    answered = await one.run(operation, request)
    return by_path(answered), request.calls


def variant_of(one: Engine, text: str, variables: dict[str, Any]) -> Variant | None:
    document = one.documents.known(text)
    assert isinstance(document, Document)
    (executable,) = document.operations.values()
    return executable.variant(variables)
