"""Fields that are columns: one declaration gives the field, what a page reads, and its value."""

import enum
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
import strawberry
from graphql import GraphQLObjectType
from strawberry.schema.config import StrawberryConfig
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from app.engine.context import FieldInfo, Requester
from app.engine.documents import Documents
from app.engine.duty_cycle import DutyCycle
from app.engine.engine import Engine, Operation, core_schema
from app.engine.executable import Planned
from app.engine.limits import DocumentLimits, FieldCosts
from app.graphql.columns import (
    UnknownColumn,
    check_columns,
    column,
    columns_below,
    computed,
    row_columns,
)
from app.graphql.ids import Node, id_column
from app.main import default_schema

ALL = {"id", "title", "body", "kind", "at"}
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@strawberry.enum
class Kind(enum.Enum):
    IDEA = "idea"
    TASK = "task"


class NoteRow(NamedTuple):
    id: uuid.UUID
    title: str
    body: str | None
    kind: str
    at: datetime


class Request(NamedTuple):
    """The context. The columns that a page would read are added to `read`."""

    read: list[frozenset[str]]
    request_id: str | None = None
    requester: Requester = Requester("someone")


class Info(FieldInfo[Request, None]):
    pass


@strawberry.type
class Note(Node):
    row: strawberry.Private[NoteRow]
    id: strawberry.ID = id_column("Note")
    title: str = column("title", description="The title.")
    # The names of field and column differ.
    text: str | None = column("body", description="The text.")
    kind: Kind = column("kind", Kind, description="What it is.")
    written_at: datetime = column("at", description="When it was written.")

    @computed(needs=("title", "kind"), description="Both in one.")
    def heading(self) -> str:
        return f"{self.row.kind}: {self.row.title}"

    @computed(needs=(), description="Of its id alone.")
    def number(self) -> int:
        return self.row.id.int

    @strawberry.field(description="Declares nothing.")
    def words(self) -> int:
        return len((self.row.body or "").split())


@strawberry.type
class Query:
    @strawberry.field(description="Notes.")
    async def notes(self, info: Info) -> list[Note]:
        info.context.read.append(columns_below(info, Note))
        return [Note(row=NoteRow(uuid.UUID(int=7), "Milk", None, "task", NOW))]


@strawberry.type
class NoteOfAnotherModule:
    """Fields that another module adds to `Note`: `self` is a `Note`."""

    row: strawberry.Private[NoteRow]
    name: str = column("title", str.upper, description="The title, aloud.")

    @computed(needs=("body",), description="Whether there is more than a title.")
    def has_text(self) -> bool:
        return self.row.body is not None


class Extended(strawberry.Schema):
    def get_fields(self, type_definition: StrawberryObjectDefinition) -> list[StrawberryField]:
        fields = super().get_fields(type_definition)
        if type_definition.origin is Note:
            added: Any = NoteOfAnotherModule
            fields = [*fields, *added.__strawberry_definition__.fields]
        return fields


CONFIG = StrawberryConfig(info_class=Info)
NOTE = {
    "id": "Note_00000000000000000000000000000007",
    "title": "Milk",
    "text": None,
    "kind": "TASK",
    "writtenAt": NOW.isoformat(),
    "heading": "task: Milk",
    "number": 7,
    "words": 0,
    "name": "MILK",
    "hasText": False,
}
Ask = Callable[[str], Awaitable[tuple[Any, list[frozenset[str]]]]]


@pytest.fixture(params=[True, False], ids=["with a plan", "on the stock executor"])
def ask(request: pytest.FixtureRequest) -> Ask:
    schema = Extended(Query, config=CONFIG)
    documents = Documents(
        schema=core_schema(schema),
        limits=DocumentLimits(),
        costs=FieldCosts(),
        planned=Planned.REPEATED if request.param else Planned.NONE,
    )
    engine = Engine(schema, documents, slow_work=DutyCycle(share=1))

    async def ask(selected: str) -> tuple[Any, list[frozenset[str]]]:
        context, answer = Request([]), None
        for _ in range(3):
            operation = await engine.prepare(f"{{ notes {{ {selected} }} }}", None, {}, context)
            assert isinstance(operation, Operation)
            answer = await engine.run(operation, context)
            variant = operation.executable.variant({})
            is_planned = bool(variant and variant.plan)
            assert is_planned is (request.param and len(context.read) > 1)
        return answer, context.read

    return ask


async def test_every_field_has_its_value(ask: Ask) -> None:
    answer, _ = await ask(" ".join(NOTE))

    assert answer == {"data": {"notes": [NOTE]}}


@pytest.mark.parametrize(
    ("selected", "columns"),
    [
        ("title", {"title"}),
        ("text", {"body"}),
        ("kind a: title", {"kind", "title"}),
        ("writtenAt", {"at"}),
        ("heading", {"title", "kind"}),
        ("__typename number", set[str]()),
        ("id ... on Note { text }", {"id", "body"}),
        ("name hasText", {"title", "body"}),
        ("words", ALL),
        ("title words", ALL),
    ],
)
async def test_a_page_reads_what_the_selected_fields_need(
    ask: Ask, selected: str, columns: set[str]
) -> None:
    _, read = await ask(selected)

    assert read == [columns] * 3


def test_a_column_is_read_in_python_as_an_attribute() -> None:
    note = Note(row=NoteRow(uuid.UUID(int=7), "Milk", None, "task", NOW))

    assert (note.title, note.text, note.kind, note.id) == ("Milk", None, Kind.TASK, NOTE["id"])


def test_a_column_that_the_row_does_not_have_is_reported() -> None:
    @strawberry.type
    class Broken:
        row: strawberry.Private[NoteRow]
        title: str = column("titel", description="The title.")

    @strawberry.type
    class Root:
        broken: Broken

    with pytest.raises(UnknownColumn, match=r"^Broken\.title needs titel: NoteRow has no such"):
        check_columns(core_schema(strawberry.Schema(Root)))


def test_a_column_of_a_type_without_a_row_is_reported() -> None:
    @strawberry.type
    class Broken:
        title: str = column("title", description="The title.")

    @strawberry.type
    class Root:
        broken: Broken

    with pytest.raises(UnknownColumn, match=r"^Broken\.title needs title: The type has no such"):
        check_columns(core_schema(strawberry.Schema(Root)))


def test_every_field_of_every_type_with_a_row_declares_what_it_needs() -> None:
    kinds = core_schema(default_schema()).type_map.values()
    with_row = [
        kind
        for kind in kinds
        if isinstance(kind, GraphQLObjectType) and row_columns(_origin(kind)) and _is_node(kind)
    ]
    silent = {
        f"{kind.name}.{name}"
        for kind in with_row
        for name, field in kind.fields.items()
        if "columns" not in field.extensions["strawberry-definition"].metadata
    }

    assert {kind.name for kind in with_row} == {
        "User",
        "Session",
        "AuditEvent",
        "TotpFactor",
        "Passkey",
    }
    assert silent == set()


def _origin(kind: GraphQLObjectType) -> type:
    definition = kind.extensions.get("strawberry-definition")
    return definition.origin if definition else object


def _is_node(kind: GraphQLObjectType) -> bool:
    return "Node" in {each.name for each in kind.interfaces}
