"""The part of the schema that a module defines."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.graphql.context import Info
from app.graphql.ids import Node

# Reads an object by its id; None if it does not exist or the caller may not see it.
NodeReader = Callable[[Info, uuid.UUID], Awaitable[Node | None]]


class NodeKinds(dict[str, NodeReader]):
    """The readers of `node`, by the name of the type, which is the prefix of its ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaPart:
    """Types decorated with `strawberry.type`."""

    # Their fields become root fields.
    queries: tuple[type[Any], ...] = ()
    mutations: tuple[type[Any], ...] = ()
    # Fields that are added to the types of other modules: `self` is an object of that type.
    fields: Mapping[type[Any], type[Any]] = field(default_factory=dict[type[Any], type[Any]])
    # Those that are only reached through an interface.
    types: tuple[type[Any], ...] = ()
    nodes: Mapping[str, NodeReader] = field(default_factory=dict[str, NodeReader])
