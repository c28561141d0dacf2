"""What the resolvers of root fields returned or raised, so that none is called twice.

A plan records it before it completes the answer. If it cannot complete it, the stock executor does,
with the recorded outcomes: no mutation runs twice, and no refused query is resolved again.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Raised(NamedTuple):
    """A resolver raised."""

    error: Exception


# By response name.
Outcomes = dict[str, Any]


def replaying(outcomes: Outcomes) -> Callable[..., Any]:
    """Returns the middleware that makes the stock executor use the recorded outcomes."""

    def resolve(next_: Callable[..., Any], source: Any, info: Any, **arguments: Any) -> Any:
        if info.path.prev is not None or info.path.key not in outcomes:
            return next_(source, info, **arguments)
        return _replayed(outcomes[info.path.key])

    return resolve


async def _replayed(outcome: Any) -> Any:
    # Awaited, as the resolver was: the executor ends other fields in good order if it raises.
    if isinstance(outcome, Raised):
        raise outcome.error
    return outcome
