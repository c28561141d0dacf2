"""Which fields an object answers, found in the document alone."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    is_abstract_type,
)
from graphql.language import FragmentDefinitionNode, NamedTypeNode, SelectionNode


class Unplannable(Exception):
    """The answer depends on more than the document."""


@dataclass(frozen=True, slots=True)
class Selections:
    schema: GraphQLSchema
    fragments: dict[str, FragmentDefinitionNode]

    def of(
        self, kind: GraphQLObjectType, selection_sets: Iterable[SelectionSetNode]
    ) -> dict[str, list[FieldNode]]:
        """Returns the fields by response name, in order (GraphQL specification, 6.3.2).

        Raises:
            Unplannable: a directive decides at run time.

        """
        fields: dict[str, list[FieldNode]] = {}
        for selection_set in selection_sets:
            for node in self._flat(kind, selection_set, set()):
                key = node.alias.value if node.alias else node.name.value
                fields.setdefault(key, []).append(node)
        return fields

    def _flat(
        self, kind: GraphQLObjectType, selection_set: SelectionSetNode, seen: set[str]
    ) -> Iterator[FieldNode]:
        for selection in selection_set.selections:
            if selection.directives:
                raise Unplannable
            if isinstance(selection, FieldNode):
                yield selection
            else:
                yield from self._fragment(kind, selection, seen)

    def _fragment(
        self, kind: GraphQLObjectType, selection: SelectionNode, seen: set[str]
    ) -> Iterator[FieldNode]:
        if isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            fragment = self.fragments[name]
            if name not in seen and self._applies(kind, fragment.type_condition):
                seen.add(name)
                yield from self._flat(kind, fragment.selection_set, seen)
        elif isinstance(selection, InlineFragmentNode) and self._applies(
            kind, selection.type_condition
        ):
            yield from self._flat(kind, selection.selection_set, seen)

    def _applies(self, kind: GraphQLObjectType, condition: NamedTypeNode | None) -> bool:
        if condition is None or condition.name.value == kind.name:
            return True
        named = self.schema.get_type(condition.name.value)
        return is_abstract_type(named) and self.schema.is_sub_type(named, kind)


def names_below(
    nodes: Iterable[FieldNode], fragments: Mapping[str, FragmentDefinitionNode]
) -> frozenset[str]:
    """Returns the names of all fields below, through fragments, whatever type they are of."""
    names: set[str] = set()
    sets = [node.selection_set for node in nodes]
    followed: set[str] = set()
    while sets:
        selections = sets.pop()
        for selection in selections.selections if selections else ():
            if isinstance(selection, FieldNode):
                names.add(selection.name.value)
                sets.append(selection.selection_set)
            elif isinstance(selection, InlineFragmentNode):
                sets.append(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in followed:
                followed.add(selection.name.value)
                sets.append(fragments[selection.name.value].selection_set)
    return frozenset(names)
