"""Global ids: the interface `Node` and its field `id`, which is opaque to clients."""

import uuid
from typing import Any

import strawberry

from app.graphql.columns import column
from app.text.global_ids import prefix_of

ID = "Opaque and unique across all types. Store it, do not parse it."


@strawberry.interface(description="Anything that can be fetched again by its id.")
class Node:
    @strawberry.field(description=ID)
    def id(self) -> strawberry.ID:
        raise NotImplementedError


def id_column(type_name: str) -> Any:
    """Declare the `id` of a type whose `row` has an `id`."""
    prefix = prefix_of(type_name)

    def convert(row_id: uuid.UUID) -> Any:
        return prefix + row_id.hex

    return column("id", convert, description=ID)
