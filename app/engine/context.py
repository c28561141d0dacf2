"""The interfaces of requests, guards and field information that the engine uses."""

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import strawberry

from app.engine.plans.selections import names_below

ContextType = TypeVar("ContextType")
RootType = TypeVar("RootType")


class Requester(NamedTuple):
    """The client for whom slow work is done. Requesters take turns; known ones have own turns."""

    key: str
    is_known: bool = False


class RequestContext(Protocol):
    """The part of `info.context` that the engine uses."""

    @property
    def request_id(self) -> str | None: ...

    @property
    def requester(self) -> Requester: ...


@runtime_checkable
class Guard(Protocol):
    """A field extension that, for queries, only needs `admit` to be called by a plan."""

    async def admit(self, context: Any) -> None:
        """Let the request through, or raise."""
        ...


@dataclass
class FieldInfo(strawberry.Info[ContextType, RootType], Generic[ContextType, RootType]):
    """Strawberry's `Info`, with the names of the fields below.

    The `info_class` of a schema should be a subclass: otherwise plans call its resolvers through
    Strawberry's wrappers.
    """

    # Set by plans, which know it before any request.
    known_names_below: frozenset[str] | None = None

    @property
    def names_below(self) -> frozenset[str]:
        """The names of all fields below this one, at any depth and of any type."""
        if self.known_names_below is not None:
            return self.known_names_below
        return names_below(self.raw.field_nodes, self.raw.fragments)

    @property
    def raw(self) -> Any:
        """The `GraphQLResolveInfo`. `Any`, since its generic parameter is unknown here."""
        return cast("Any", self)._raw_info  # noqa: SLF001 - there is no public name
