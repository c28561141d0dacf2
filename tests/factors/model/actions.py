"""Actions: what somebody may do at any step, and what hypothesis draws for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

# True: the owner; False: the thief.
WHO = st.booleans()
WHICH = st.integers(0, 2)


def chosen(of: Sequence[T], which: int) -> T:
    """Returns one of the newest."""
    return of[-1 - which % len(of)]


@dataclass(frozen=True)
class Action:
    """A method that somebody may call at any step, if its condition holds."""

    name: str
    drawn: st.SearchStrategy[dict[str, Any]]
    needs: Callable[[Any], object]
    weight: int


ACTIONS: dict[str, Action] = {}


def action(
    needs: Callable[[Any], object] = lambda _: True,
    weight: int = 1,
    **drawn: st.SearchStrategy[Any],
) -> Callable[[T], T]:
    """Declare an action.

    All are drawn by one rule: of many rules hypothesis leaves some out of each sequence, so that
    few sequences would get far.
    """

    def declare(method: T) -> T:
        name: str = getattr(method, "__name__", "")
        ACTIONS[name] = Action(name, st.fixed_dictionaries(drawn), needs, weight)
        return method

    return declare


def any_action() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    names = [each.name for each in ACTIONS.values() for _ in range(each.weight)]
    return st.sampled_from(names).flatmap(
        lambda name: st.tuples(st.just(name), ACTIONS[name].drawn)
    )
