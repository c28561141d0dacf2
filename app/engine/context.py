"""What the engine knows of a request, of its guards, and of the fields it asks for."""

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import strawberry

from app.engine.plans.selections import names_below

ContextType = TypeVar("ContextType")
RootType = TypeVar("RootType")


class Requester(NamedTuple):
    """For whom slow work is done. Requesters take turns, and known ones wait for no others."""

    key: str
    is_known: bool = False


class RequestContext(Protocol):
    """The `info.context` of every resolver; the engine asks it for no more than this."""

    @property
    def request_id(self) -> str | None: ...

    @property
    def requester(self) -> Requester: ...


@runtime_checkable
class Guard(Protocol):
    """An extension of a query's field of which a plan has to call `admit` alone."""

    async def admit(self, context: Any) -> None:
        """Let the request through, or raise."""
        ...


@dataclass
class FieldInfo(strawberry.Info[ContextType, RootType], Generic[ContextType, RootType]):
    """Strawberry's `Info`, with the names of the fields below.

    The `info_class` of a schema must be a subclass, or fields of it have Strawberry's wrappers in
    plans too.
    """

    # A plan knows it before any request.
    known_names_below: frozenset[str] | None = None

    @property
    def names_below(self) -> frozenset[str]:
        """The names of all fields below this one, at any depth and of any type."""
        if self.known_names_below is not None:
            return self.known_names_below
        return names_below(self.raw.field_nodes, self.raw.fragments)

    @property
    def raw(self) -> Any:
        """The `GraphQLResolveInfo`. Typed, it would have a generic without its parameter."""
        return cast("Any", self)._raw_info  # noqa: SLF001 - there is no public name
