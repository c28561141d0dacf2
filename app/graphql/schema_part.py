"""What a module brings to the schema."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.graphql.context import Info
from app.graphql.ids import Node

# Reads a thing by its id, for those who may see it; anything else is None.
NodeReader = Callable[[Info, uuid.UUID], Awaitable[Node | None]]


class NodeKinds(dict[str, NodeReader]):
    """All that `node` reads, by the name of the type, which is the front of its ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaPart:
    """Types decorated with `strawberry.type`."""

    # Their fields become root fields.
    queries: tuple[type[Any], ...] = ()
    mutations: tuple[type[Any], ...] = ()
    # Fields that are added to the types of other modules: `self` is an object of that type.
    fields: Mapping[type[Any], type[Any]] = field(default_factory=dict[type[Any], type[Any]])
    nodes: Mapping[str, NodeReader] = field(default_factory=dict[str, NodeReader])
