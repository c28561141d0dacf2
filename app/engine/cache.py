"""A bounded memory that a flood of strangers cannot empty."""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class SegmentedCache(Generic[T]):
    """Two LRU lists: what was asked for twice is safe from a flood of what is asked for once.

    Bounded by weight, a fifth of it for newcomers.
    """

    def __init__(self, capacity: int) -> None:
        self._newcomers = _Segment[T](capacity // 5)
        self._regulars = _Segment[T](capacity - capacity // 5)

    def get(self, key: str) -> T | None:
        entry = self._regulars.get(key)
        if entry is None:
            entry = self._newcomers.pop(key)
            if entry is None:
                return None
            for demoted_key, demoted in self._regulars.put(key, entry):
                self._newcomers.put(demoted_key, demoted)
        return entry[0]

    def put(self, key: str, value: T, *, weight: int) -> None:
        self._newcomers.put(key, (value, weight))


class _Segment(Generic[T]):
    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._weight = 0
        self._entries: OrderedDict[str, tuple[T, int]] = OrderedDict()

    def get(self, key: str) -> tuple[T, int] | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def pop(self, key: str) -> tuple[T, int] | None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._weight -= entry[1]
        return entry

    def put(self, key: str, entry: tuple[T, int]) -> list[tuple[str, tuple[T, int]]]:
        """Add an entry; give those that had to go."""
        self.pop(key)
        self._entries[key] = entry
        self._weight += entry[1]
        gone: list[tuple[str, tuple[T, int]]] = []
        while self._weight > self._capacity and self._entries:
            oldest, dropped = self._entries.popitem(last=False)
            self._weight -= dropped[1]
            gone.append((oldest, dropped))
        return gone
