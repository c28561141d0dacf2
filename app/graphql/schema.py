"""The schema: what every module brings, put together, and the SDL that clients generate from."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import strawberry
from graphql import StringValueNode, print_ast
from strawberry.schema.config import StrawberryConfig
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from app.engine.engine import core_schema
from app.errors import Misconfigured
from app.graphql.columns import check_columns
from app.graphql.context import Info
from app.graphql.descriptions import fill_in
from app.graphql.scalars import JSON, DateTime, Json
from app.graphql.schema_part import NodeKinds, NodeReader, SchemaPart

# Built in since the specification of September 2025; printing it makes generators declare it twice.
BUILT_IN = "directive @oneOf on INPUT_OBJECT\n\n"
DEFINITION = "schema {\n  query: Query\n  mutation: Mutation\n}"
DESCRIPTION = """\
Portico: accounts, sign-in and sessions.

Sign in with `register` or `login`. Send the `tokens.accessToken` of the answer with each request,
in the header `Authorization: Bearer <accessToken>`. When it expires, `refreshSession` answers the
next one. The description of each root field says who may ask it.

The outcomes of a mutation are the members of its result union. A member that implements `Problem`
says in `message` what to tell the person. A field that is refused is null and has an entry in
`errors`, whose `extensions.code` says why (`UNAUTHENTICATED`, `FORBIDDEN`, `BAD_USER_INPUT`, ...).
The rest of the answer is not affected.

The documentation is in `docs/clients`, in the source of Portico.\
"""


DOCUMENT_LIMITS = (
    "One document has at most ${limit_characters} characters, ${limit_fields} fields, "
    "${limit_aliases} aliases and ${limit_depth} levels of fields. One operation has at most "
    "${limit_root_fields} root fields, one of which may test a credential, and costs at most "
    "${limit_cost}: a field costs 1, times the entries of the pages it stands on."
)
QUERY = f"The queries. Root fields run concurrently.\n\n{DOCUMENT_LIMITS}"
MUTATION = "The mutations. Root fields run one after the other."


class ModularSchema(strawberry.Schema):
    """A schema in which types have the fields that modules add to them.

    The types themselves stay as they are: another schema of the process has other modules.
    """

    def __init__(
        self,
        parts: Sequence[SchemaPart],
        query: type[Any],
        mutation: type[Any],
        config: StrawberryConfig,
    ) -> None:
        # Asked for while the schema is being built.
        self._added = _added_fields(parts)
        base: Any = super()
        base.__init__(query=query, mutation=mutation, config=config)

    def get_fields(self, type_definition: StrawberryObjectDefinition) -> list[StrawberryField]:
        return [*type_definition.fields, *self._added.get(type_definition.origin, ())]


def build_schema(parts: Sequence[SchemaPart], values: Mapping[str, int | str]) -> strawberry.Schema:
    """Build the schema. Its descriptions state these values by their names.

    Raises:
        Misconfigured: two parts bring a field of the same name.

    """
    schema = ModularSchema(
        parts,
        query=_root("Query", QUERY, [each for part in parts for each in part.queries]),
        mutation=_root("Mutation", MUTATION, [each for part in parts for each in part.mutations]),
        config=StrawberryConfig(scalar_map={datetime: DateTime, JSON: Json}, info_class=Info),
    )
    core = core_schema(schema)
    core.description = DESCRIPTION
    fill_in(core, values)
    check_columns(core)
    return schema


def node_kinds(parts: Iterable[SchemaPart]) -> NodeKinds:
    kinds: dict[str, NodeReader] = {}
    for part in parts:
        _check_new(kinds, part.nodes, "The node")
        kinds |= part.nodes
    return NodeKinds(kinds)


def printed(schema: strawberry.Schema) -> str:
    """Returns the SDL, as `schema.graphql` holds it."""
    types = schema.as_str().replace(BUILT_IN, "").rstrip()
    # Strawberry prints no description of the schema itself.
    description = StringValueNode(value=core_schema(schema).description or "", block=True)
    return f"{print_ast(description)}\n{DEFINITION}\n\n{types}\n"


def _root(name: str, description: str, bases: Sequence[type[Any]]) -> type[Any]:
    known: set[str] = set()
    for base in bases:
        names = {field.name for field in _fields_of(base)}
        _check_new(known, names, f"The field {name}")
        known |= names
    return strawberry.type(type(name, tuple(bases), {}), description=description)


def _added_fields(parts: Iterable[SchemaPart]) -> Mapping[type[Any], Sequence[StrawberryField]]:
    added: dict[type[Any], list[StrawberryField]] = {}
    for part in parts:
        for kind, source in part.fields.items():
            there = [*_fields_of(kind), *added.get(kind, ())]
            new = _fields_of(source)
            known = {field.name for field in there}
            _check_new(known, {field.name for field in new}, f"The field {kind.__name__}")
            added.setdefault(kind, []).extend(new)
    return added


def _fields_of(kind: type[Any]) -> list[StrawberryField]:
    definition: StrawberryObjectDefinition = kind.__strawberry_definition__
    return definition.fields


def _check_new(known: Iterable[str], new: Iterable[str], what: str) -> None:
    for name in sorted({*known} & {*new}):
        raise Misconfigured(f"{what}.{name} is brought twice")
