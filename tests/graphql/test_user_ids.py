"""The `sub` of tokens is accepted wherever the id of a user is."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import graphql
import jwt
import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
)

from app.testing.clients import Api, Person
from tests.support.operations import NOBODY, is_required, named, root_fields, sample

BY = "query User($by: UserBy!) { user(by: $by) { id subject email } }"


@dataclass(frozen=True, slots=True)
class Place:
    """An argument, or a field of an input, that is an ID."""

    operation: str
    root: str
    # The argument, and the fields of inputs down to the ID.
    path: tuple[str, ...]
    description: str

    def __str__(self) -> str:
        return ".".join((self.root, *self.path))

    @property
    def argument(self) -> Any:
        return root_fields(self.operation)[self.root].args[self.path[0]]

    @property
    def document(self) -> str:
        name, kind = self.path[0], self.argument.type
        answer = selection(named(root_fields(self.operation)[self.root].type), depth=3)
        return f"{self.operation} ($it: {kind}) {{ {self.root}({name}: $it) {answer} }}"

    def value(self, user: str) -> Any:
        return filled(self.argument.type, self.path[1:], user)


def places() -> Iterator[Place]:
    for operation in ("query", "mutation"):
        for name, field in root_fields(operation).items():
            for argument, taken in field.args.items():
                for path, description in ids_in(taken, (argument,)):
                    yield Place(operation, name, path, description)


def ids_in(taken: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    kind = named(taken.type)
    if kind.name == "ID":
        yield path, taken.description or ""
    if isinstance(kind, GraphQLInputObjectType):
        for name, field in kind.fields.items():
            yield from ids_in(field, (*path, name))


def filled(kind: Any, path: tuple[str, ...], user: str) -> Any:
    """Returns the smallest valid value of a type, with the user at this path."""
    if not path:
        return user
    fields: dict[str, Any] = named(kind).fields
    others = {
        name: sample(field.type)
        for name, field in fields.items()
        if name != path[0] and is_required(field)
    }
    return others | {path[0]: filled(fields[path[0]].type, path[1:], user)}


def selection(kind: Any, depth: int) -> str:
    """Returns a selection of the ids of users, and of the types around them."""
    if isinstance(kind, GraphQLUnionType):
        parts = [f"... on {each.name} {selection(each, depth)}" for each in kind.types]
    elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        parts = ["id"] if kind.name in {"User", "Node"} else below(kind, depth)
    else:
        parts = []
    return f"{{ __typename {' '.join(parts)} }}"


def below(kind: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> list[str]:
    composite: dict[str, Any] = {
        name: named(field.type) for name, field in kind.fields.items() if not field.args and depth
    }
    return [
        f"{name} {selection(each, depth - 1)}"
        for name, each in composite.items()
        if graphql.is_composite_type(each)
    ]


def subject_of(person: Person) -> str:
    return str(uuid.UUID(person.id.removeprefix("User_")))


async def registered(api: Api, name: str) -> Person:
    """A member who has signed in once."""
    person = await api.register(Person(f"{name}@example.com", "an apple a day 42"))
    await api.login(person)
    return person


async def answer(admin: Api, place: Place, user: str, user_id: str) -> str:
    """Returns the whole answer, with the user's id masked."""
    await admin(place.document, it=place.value(user))
    assert admin.last is not None
    return admin.last.text.replace(user_id, "the user's id")


PLACES = list(places())


@pytest.mark.parametrize("place", PLACES, ids=str)
async def test_a_subject_is_accepted_for_every_user_id(
    api: Api, grace: Person, place: Place
) -> None:
    admin = await api.login(grace)
    ada, lin = await registered(api, "ada"), await registered(api, "lin")

    by_id = await answer(admin, place, ada.id, ada.id)
    by_subject = await answer(admin, place, subject_of(lin), lin.id)
    is_taken = admin.last_code is None
    unknown_by_id = await answer(admin, place, f"User_{NOBODY.hex}", ada.id)
    unknown_by_subject = await answer(admin, place, str(NOBODY), ada.id)

    assert by_subject == by_id
    assert unknown_by_subject == unknown_by_id
    assert (unknown_by_id != by_id) == is_taken
    assert is_taken == ("`subject`" in place.description)


async def test_a_user_is_found_by_the_subject_of_their_token(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)
    claims = jwt.decode(laptop.access_token or "", options={"verify_signature": False})

    found = await laptop(BY, by={"subject": claims["sub"]})
    shouted = await laptop(BY, by={"subject": claims["sub"].upper()})

    user = {"id": ada.id, "subject": claims["sub"], "email": ada.email}
    assert found == shouted == {"user": user}


@pytest.mark.parametrize("text", ["", "ada", NOBODY.hex, f"{{{NOBODY}}}", f"urn:uuid:{NOBODY}"])
async def test_an_invalid_subject_is_reported(api: Api, ada: Person, text: str) -> None:
    laptop = await api.login(ada)

    assert await laptop(BY, by={"subject": text}) == {"user": None}
    assert laptop.last_code == "BAD_USER_INPUT"
    assert "`by.subject`" in laptop.errors[0]["message"]


async def test_the_id_of_a_user_is_not_a_subject(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)

    assert await laptop(BY, by={"subject": ada.id}) == {"user": None}
    assert laptop.last_code == "BAD_USER_INPUT"


async def test_a_member_learns_nothing_of_others_by_their_subject(
    api: Api, ada: Person, grace: Person
) -> None:
    laptop = await api.login(ada)

    answers = [await laptop(BY, by={"subject": each}) for each in (subject_of(grace), str(NOBODY))]

    assert answers == [{"user": None}, {"user": None}]
    assert laptop.errors == []


def test_arguments_that_take_user_ids_are_found() -> None:
    """The tests above have a case for each of them."""
    described = {str(place) for place in PLACES if "`subject`" in place.description}

    assert {"user.by.id", "node.id", "auditEvents.filter.actorId"} < described
    assert "revokeSession.input.sessionId" in {str(place) for place in PLACES} - described
