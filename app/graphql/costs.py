"""What a field costs in the limit of an operation, if not 1: declared on it, printed as `@cost`."""

from typing import Any

import strawberry
from graphql import GraphQLField
from strawberry.schema_directive import Location

STRAWBERRY = "strawberry-definition"


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="cost",
    description="What this field costs in the limit of an operation, instead of 1. It is not "
    "multiplied by the size of the page that it belongs to, but by the pages above that one.",
)
class CostDirective:
    weight: int


def costly_field(*, cost: int, description: str) -> Any:
    """Declare a field that takes much more of the database than others, such as a total count.

    Costs are looked up by the names of fields: one of the same name on another type costs as much.
    """
    # Introspection shows no directives.
    text = f"{description} Costs {cost:,}."
    return strawberry.field(description=text, directives=[CostDirective(weight=cost)])


def declared_cost(field: GraphQLField) -> int | None:
    """Returns the cost of a field of the built schema; None if it has the usual one."""
    definition: Any = field.extensions.get(STRAWBERRY)
    directives: list[Any] = list(definition.directives) if definition else []
    return next((each.weight for each in directives if isinstance(each, CostDirective)), None)
