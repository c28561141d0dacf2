"""Operations made from the schema: one for each place of an object below a page, however deep."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import graphql
from graphql import GraphQLObjectType, GraphQLSchema

# The library's type guards are generics without a parameter.
library: Any = graphql
# The required arguments of fields, by name. Another one needs a value here.
ARGUMENTS = {"id": 'id: "{id}"', "by": 'by: {{id: "{id}"}}'}
PAGE = "first"
# Of pages below the first one: more than one entry, and the same number each time.
INNER_PAGE = "first: 2"


@dataclass(frozen=True, slots=True)
class Step:
    """A field on the way to an object, and the type of object that it returns."""

    name: str
    required: tuple[str, ...]
    kind: GraphQLObjectType
    is_abstract: bool
    is_list: bool
    has_pages: bool


@dataclass(frozen=True, slots=True)
class Position:
    """A place of objects below a page, with the steps from the root to it."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        names = (
            f"{each.name}({each.kind})" if each.is_abstract else each.name for each in self.steps
        )
        return ".".join(names)

    def document(self, ids: Mapping[str, str]) -> str:
        """Returns a query for all fields of these objects that are no objects themselves.

        `$size` is the size of the outermost page. `ids` has the id of an object by its type.
        """
        selected = " ".join(("__typename", *_leaves(self.steps[-1].kind)))
        first_page = next(number for number, each in enumerate(self.steps) if each.has_pages)
        for number, step in reversed([*enumerate(self.steps)]):
            page = f"{PAGE}: $size" if number == first_page else INNER_PAGE
            arguments = [ARGUMENTS[name].format(id=ids[step.kind.name]) for name in step.required]
            arguments += [page] if step.has_pages else []
            given = f"({', '.join(arguments)})" if arguments else ""
            inner = f"... on {step.kind} {{ {selected} }}" if step.is_abstract else selected
            selected = f"{step.name}{given} {{ {inner} }}"
        return f"query ($size: Int!) {{ {selected} }}"

    def objects(self, data: Any) -> list[Any]:
        """Returns the objects at this place of an answer."""
        found = [data]
        for step in self.steps:
            found = [each for above in found for each in _values(above.get(step.name))]
        return found


def positions(schema: GraphQLSchema) -> Iterator[Position]:
    """Walk all queries. A type that contains itself is not entered a second time."""
    assert schema.query_type is not None
    for steps in _walk(schema, schema.query_type, ()):
        if _is_below_a_page(steps):
            yield Position(steps)


def _walk(
    schema: GraphQLSchema, kind: GraphQLObjectType, above: tuple[Step, ...]
) -> Iterator[tuple[Step, ...]]:
    for name, field in kind.fields.items():
        for returned in _object_types(schema, field.type):
            steps = (*above, _step(name, field, returned))
            yield steps
            if returned not in {each.kind for each in above}:
                yield from _walk(schema, returned, steps)


def _step(name: str, field: Any, kind: GraphQLObjectType) -> Step:
    required = [key for key, each in field.args.items() if library.is_required_argument(each)]
    return Step(
        name,
        tuple(required),
        kind,
        is_abstract=library.is_abstract_type(library.get_named_type(field.type)),
        is_list=library.is_list_type(library.get_nullable_type(field.type)),
        has_pages=PAGE in field.args,
    )


def _object_types(schema: GraphQLSchema, type_: Any) -> list[GraphQLObjectType]:
    named = library.get_named_type(type_)
    if library.is_abstract_type(named):
        return [*schema.get_possible_types(named)]
    return [named] if library.is_object_type(named) else []


def _values(answered: Any) -> list[Any]:
    """Returns the objects that a field answered: one, none, or the entries of a list."""
    entries = cast("list[Any]", answered) if isinstance(answered, list) else [answered]
    return [each for each in entries if each is not None]


def _is_below_a_page(steps: tuple[Step, ...]) -> bool:
    pages = [number for number, each in enumerate(steps) if each.has_pages]
    return bool(pages) and any(each.is_list for each in steps[pages[0] :])


def _leaves(kind: GraphQLObjectType) -> Iterator[str]:
    for name, field in kind.fields.items():
        if library.is_leaf_type(library.get_named_type(field.type)):
            arguments = [each for each in field.args.values() if library.is_required_argument(each)]
            assert not arguments, f"{kind}.{name} needs a value for its arguments here"
            yield name
