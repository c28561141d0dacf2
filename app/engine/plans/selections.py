"""The selected fields of an object, from the document and the values of its conditions."""

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
from graphql.language import (
    BooleanValueNode,
    DirectiveNode,
    FragmentDefinitionNode,
    NamedTypeNode,
    OperationDefinitionNode,
    SelectionNode,
    ValueNode,
    VariableNode,
)

# The values of the variables of `@include` and `@skip`, by name.
Conditions = Mapping[str, bool]


class Unplannable(Exception):
    """The answer depends on more than the document and its conditions."""


@dataclass(frozen=True, slots=True)
class Selections:
    schema: GraphQLSchema
    fragments: dict[str, FragmentDefinitionNode]
    conditions: Conditions

    def of(
        self, kind: GraphQLObjectType, selection_sets: Iterable[SelectionSetNode]
    ) -> dict[str, list[FieldNode]]:
        """Returns the fields by response name, in order (GraphQL specification, 6.3.2).

        Raises:
            Unplannable: there is a directive other than `@include` and `@skip`.

        """
        fields: dict[str, list[FieldNode]] = {}
        # Shared by the selection sets of a field that is selected several times.
        seen = set[str]()
        for selection_set in selection_sets:
            for node in self._flat(kind, selection_set, seen):
                key = node.alias.value if node.alias else node.name.value
                fields.setdefault(key, []).append(node)
        return fields

    def _flat(
        self, kind: GraphQLObjectType, selection_set: SelectionSetNode, seen: set[str]
    ) -> Iterator[FieldNode]:
        for selection in selection_set.selections:
            if not all(map(self._includes, selection.directives or ())):
                continue
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

    def _includes(self, directive: DirectiveNode) -> bool:
        condition = condition_of(directive)
        if isinstance(condition, VariableNode):
            is_true = self.conditions[condition.name.value]
        elif isinstance(condition, BooleanValueNode):
            is_true = condition.value
        else:
            raise Unplannable
        return is_true is (directive.name.value == "include")

    def _applies(self, kind: GraphQLObjectType, condition: NamedTypeNode | None) -> bool:
        if condition is None or condition.name.value == kind.name:
            return True
        named = self.schema.get_type(condition.name.value)
        return is_abstract_type(named) and self.schema.is_sub_type(named, kind)


def condition_of(directive: DirectiveNode) -> ValueNode | None:
    """Returns the `if` argument of `@include` or `@skip`; None for any other directive."""
    if directive.name.value not in {"include", "skip"}:
        return None
    return next((each.value for each in directive.arguments or () if each.name.value == "if"), None)


def condition_variables(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> dict[str, bool | None]:
    """Returns the variables that decide what is selected, with their defaults."""
    names = {
        condition.name.value
        for selection in selections_below([operation.selection_set], fragments)
        for condition in map(condition_of, selection.directives or ())
        if isinstance(condition, VariableNode)
    }
    return {
        variable.variable.name.value: getattr(variable.default_value, "value", None)
        for variable in operation.variable_definitions or ()
        if variable.variable.name.value in names
    }


def names_below(
    nodes: Iterable[FieldNode], fragments: Mapping[str, FragmentDefinitionNode]
) -> frozenset[str]:
    """Returns the names of all fields below, through fragments, of any type."""
    sets = [node.selection_set for node in nodes]
    return frozenset(
        selection.name.value
        for selection in selections_below(sets, fragments)
        if isinstance(selection, FieldNode)
    )


def selections_below(
    sets: Iterable[SelectionSetNode | None], fragments: Mapping[str, FragmentDefinitionNode]
) -> Iterator[SelectionNode]:
    """Iterate over all selections at any depth; each fragment is followed once."""
    todo, followed = list(sets), set[str]()
    while todo:
        selection_set = todo.pop()
        for selection in selection_set.selections if selection_set else ():
            yield selection
            if isinstance(selection, FieldNode | InlineFragmentNode):
                todo.append(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in followed:
                followed.add(selection.name.value)
                todo.append(fragments[selection.name.value].selection_set)
