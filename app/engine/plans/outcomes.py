"""What the resolvers of root fields have returned or raised, so that none is called twice.

A plan notes it before it completes the answer. Where it cannot, the stock executor completes what
was noted: a mutation is not done again, and a query that was refused is not asked again.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Raised(NamedTuple):
    """A resolver raised."""

    error: Exception


# By response name.
Outcomes = dict[str, Any]


def replaying(outcomes: Outcomes) -> Callable[..., Any]:
    """Returns the middleware with which the stock executor takes what was noted."""

    def resolve(next_: Callable[..., Any], source: Any, info: Any, **arguments: Any) -> Any:
        if info.path.prev is not None or info.path.key not in outcomes:
            return next_(source, info, **arguments)
        outcome = outcomes[info.path.key]
        if isinstance(outcome, Raised):
            raise outcome.error
        return outcome

    return resolve
