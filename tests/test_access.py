"""Calls every root field as guest, member and administrator, and compares with its `@access`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import FieldDefinitionNode, ObjectTypeDefinitionNode, parse

from app.database.database import Database
from app.graphql.schema import print_sdl
from app.main import default_schema
from app.testing.clients import Api, Person
from app.testing.databases import contents
from tests.support.operations import smallest

ROOTS = {"Query": "query", "Mutation": "mutation"}


@dataclass(frozen=True, slots=True)
class Root:
    """A root field and its access level, read from the SDL as a client would."""

    name: str
    operation: str
    level: str

    def __str__(self) -> str:
        return self.name

    async def ask(self, client: Api) -> None:
        asked = smallest(self.operation, self.name)
        await client(asked.document, **asked.variables)


def roots() -> Iterator[Root]:
    for definition in parse(print_sdl(default_schema())).definitions:
        if isinstance(definition, ObjectTypeDefinitionNode):
            operation = ROOTS.get(definition.name.value)
            for field in definition.fields or () if operation else ():
                yield Root(field.name.value, operation or "", level(field))


def level(field: FieldDefinitionNode) -> str:
    access: Any = next(node for node in field.directives or () if node.name.value == "access")
    return access.arguments[0].value.value


FIELDS = list(roots())


@pytest.mark.parametrize("root", FIELDS, ids=str)
async def test_a_guest_can_call_fields_for_guests_only(
    api: Api, ada: Person, db: Database, root: Root
) -> None:
    before = await contents(db)

    await root.ask(api)

    expected = None if root.level == "GUEST" else "UNAUTHENTICATED"
    assert (api.last_code, ada.email) == (expected, "ada@example.com")
    assert root.level == "GUEST" or await contents(db) == before


@pytest.mark.parametrize("root", FIELDS, ids=str)
async def test_a_member_can_call_fields_for_guests_and_members_only(
    api: Api, ada: Person, db: Database, root: Root
) -> None:
    member = await api.login(ada)
    before = await contents(db)

    await root.ask(member)

    assert member.last_code == ("FORBIDDEN" if root.level == "ADMIN" else None)
    assert root.level != "ADMIN" or await contents(db) == before


@pytest.mark.parametrize("root", FIELDS, ids=str)
async def test_an_administrator_can_call_every_field(api: Api, grace: Person, root: Root) -> None:
    admin = await api.login(grace)

    await root.ask(admin)

    assert admin.last_code is None
