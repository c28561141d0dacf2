"""The entries of `info` that graphql-core's executor makes for each field: the path and helpers."""

import asyncio
from collections.abc import Sequence
from typing import Any, NoReturn

from graphql.type.definition import GraphQLResolveInfoHelpers

from app.engine.plans.completion import NotAsPlanned, gather, is_awaitable


class UnknownPath:
    """The path of a field below a root field. Any use leaves the answer to the stock executor."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotAsPlanned

    __getattr__ = __getitem__ = __iter__ = __len__ = __eq__ = __hash__ = __repr__ = _refuse


UNKNOWN_PATH = UnknownPath()
_tracked = set[asyncio.Future[Any]]()


def _track(values: Sequence[Any]) -> None:
    """Run awaitables to their end that a resolver has started but does not await."""
    ending = asyncio.gather(*filter(is_awaitable, values), return_exceptions=True)
    _tracked.add(ending)
    ending.add_done_callback(_tracked.discard)


HELPERS = GraphQLResolveInfoHelpers(gather=gather, track=_track)
