"""Builds the schema from the parts of all modules, and prints it as SDL."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import strawberry
from graphql import StringValueNode, print_ast
from strawberry.schema.config import StrawberryConfig
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from app.database.page_size import DEFAULT_PAGE_SIZE
from app.engine.engine import core_schema
from app.errors import Misconfigured
from app.graphql.charging import replace_attempts
from app.graphql.columns import check_columns
from app.graphql.context import Info
from app.graphql.descriptions import fill_in
from app.graphql.scalars import JSON, DateTime, Json
from app.graphql.schema_part import NodeKinds, SchemaPart
from app.throttle.attempts import Attempt

# Built in since the specification of September 2025: if it is printed, generators declare it twice.
BUILT_IN = "directive @oneOf on INPUT_OBJECT\n\n"
DEFINITION = "schema {\n  query: Query\n  mutation: Mutation\n}"
DESCRIPTION = """\
Portico: accounts, sign-in and sessions.

Sign in with `register`, `login` or `signInWithPasskey`. Send the `tokens.accessToken` of the answer
with each request, in the header `Authorization: Bearer <accessToken>`. When it expires,
`refreshSession` returns a new one. The description of each root field says who may use it.

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
    "${limit_cost}: a field costs 1, times the entries of the pages that contain it. A page "
    f"without `first` and `last` has {DEFAULT_PAGE_SIZE}. Fields that cost more say so, and are "
    "not multiplied by the size of the page that they belong to."
)
QUERY = f"The queries. Root fields run concurrently.\n\n{DOCUMENT_LIMITS}"
MUTATION = "The mutations. Root fields run one after the other."


class ModularSchema(strawberry.Schema):
    """A schema in which types have the fields that modules add to them.

    The types themselves are not changed: another schema of the process may have other modules.
    """

    def __init__(
        self,
        parts: Sequence[SchemaPart],
        query: type[Any],
        mutation: type[Any],
        config: StrawberryConfig,
    ) -> None:
        # Read by `get_fields` while the schema is being built.
        self._added = _added_fields(parts)
        base: Any = super()
        types = [kind for part in parts for kind in part.types]
        base.__init__(query=query, mutation=mutation, types=types, config=config)

    def get_fields(self, type_definition: StrawberryObjectDefinition) -> list[StrawberryField]:
        return [*type_definition.fields, *self._added.get(type_definition.origin, ())]


def build_schema(
    parts: Sequence[SchemaPart], attempts: Sequence[Attempt], values: Mapping[str, int | str]
) -> strawberry.Schema:
    """Build the schema. `values` replace the placeholders in descriptions.

    Raises:
        Misconfigured: two parts define a field of the same name, or a field is limited as
            something that is not among `attempts`.

    """
    schema = ModularSchema(
        parts,
        query=_root("Query", QUERY, [each for part in parts for each in part.queries]),
        mutation=_root("Mutation", MUTATION, [each for part in parts for each in part.mutations]),
        config=StrawberryConfig(scalar_map={datetime: DateTime, JSON: Json}, info_class=Info),
    )
    core = core_schema(schema)
    core.description = DESCRIPTION
    replace_attempts(core, attempts)
    fill_in(core, values)
    check_columns(core)
    return schema


def node_kinds(parts: Iterable[SchemaPart]) -> NodeKinds:
    """Returns the readers of `node`, of all parts.

    Raises:
        Misconfigured: two parts define a node of the same name.

    """
    kinds = NodeKinds()
    for part in parts:
        for name, reader in part.nodes.items():
            _check_new(f"The node {name}", reader, kinds.get(name))
            kinds[name] = reader
    return kinds


def print_sdl(schema: strawberry.Schema) -> str:
    """Returns the SDL, as in `schema.graphql`."""
    types = schema.as_str().replace(BUILT_IN, "").rstrip()
    # Strawberry prints no description of the schema itself.
    description = StringValueNode(value=core_schema(schema).description or "", block=True)
    return f"{print_ast(description)}\n{DEFINITION}\n\n{types}\n"


def _root(name: str, description: str, bases: Sequence[type[Any]]) -> type[Any]:
    sources: dict[str, type[Any]] = {}
    for base in bases:
        _add_names(sources, name, base)
    return strawberry.type(type(name, tuple(bases), {}), description=description)


def _added_fields(parts: Iterable[SchemaPart]) -> Mapping[type[Any], Sequence[StrawberryField]]:
    added: dict[type[Any], list[StrawberryField]] = {}
    sources: dict[type[Any], dict[str, type[Any]]] = {}
    for part in parts:
        for kind, source in part.fields.items():
            known = sources.setdefault(kind, dict.fromkeys(_names_of(kind), kind))
            _add_names(known, kind.__name__, source)
            added.setdefault(kind, []).extend(_fields_of(source))
    return added


def _add_names(sources: dict[str, type[Any]], name: str, source: type[Any]) -> None:
    """Add the fields of a class, by their names in the schema, to those of a type."""
    for field in _names_of(source):
        _check_new(f"The field {name}.{field}", source, sources.get(field))
        sources[field] = source


def _names_of(kind: type[Any]) -> list[str]:
    return [field.graphql_name or to_camel_case(field.python_name) for field in _fields_of(kind)]


def _fields_of(kind: type[Any]) -> list[StrawberryField]:
    definition: StrawberryObjectDefinition = kind.__strawberry_definition__
    return definition.fields


def _check_new(what: str, new: Any, known: Any) -> None:
    if known is not None:
        raise Misconfigured(f"{what} is defined twice: by {_path(known)} and {_path(new)}")


def _path(source: Any) -> str:
    return f"{source.__module__}.{source.__qualname__}"
