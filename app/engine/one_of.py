"""`@oneOf` input types: makes graphql-core's own checks apply to the types of Strawberry.

Strawberry's rule is not used: it raises on documents that use an undefined variable, or that define
a fragment before their operation.
"""

from typing import Any, cast

import graphql
from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    NonNullTypeNode,
    OperationDefinitionNode,
    ValidationContext,
    ValidationRule,
)

STRAWBERRY = "strawberry-definition"
# `Any`, since its type has an unknown generic parameter.
get_nullable_type: Any = cast("Any", graphql).get_nullable_type


def mark_one_of(schema: GraphQLSchema) -> None:
    """Mark the `@oneOf` input types for graphql-core, which Strawberry does not do."""
    for kind in schema.type_map.values():
        definition: Any = kind.extensions.get(STRAWBERRY)
        if isinstance(kind, GraphQLInputObjectType) and definition is not None:
            kind.is_one_of = bool(definition.is_one_of)


class OneOfVariablesRule(ValidationRule):
    """A variable in a `@oneOf` input must be non-null, also if the input itself is non-null."""

    context: ValidationContext

    def leave_operation_definition(self, operation: OperationDefinitionNode, *_: Any) -> None:
        declared = {each.variable.name.value: each for each in operation.variable_definitions or ()}
        for usage in self.context.get_recursive_variable_usages(operation):
            of: Any = cast("Any", usage).parent_type
            name = usage.node.name.value
            kind = get_nullable_type(of)
            # If the input is nullable, a rule of graphql-core reports it.
            if kind is of or not isinstance(kind, GraphQLInputObjectType) or not kind.is_one_of:
                continue
            definition = declared.get(name)
            if definition is None or isinstance(definition.type, NonNullTypeNode):
                continue
            self.report_error(
                GraphQLError(
                    f"Variable '${name}' is of type '{graphql.print_ast(definition.type)}' but must"
                    f" be non-nullable to be used for OneOf Input Object '{kind}'.",
                    [definition, usage.node],
                )
            )
