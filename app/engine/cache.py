"""A bounded cache that a flood of new entries cannot empty."""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class SegmentedCache(Generic[T]):
    """Two LRU lists: entries used once never displace entries used twice.

    Bounded by weight, of which entries used once get a fifth.
    """

    def __init__(self, capacity: int) -> None:
        self._used_once = _Segment[T](capacity // 5)
        self._used_twice = _Segment[T](capacity - capacity // 5)

    def get(self, key: str) -> T | None:
        entry = self._used_twice.get(key)
        if entry is None:
            entry = self._used_once.pop(key)
            if entry is None:
                return None
            for demoted_key, demoted in self._used_twice.put(key, entry):
                self._used_once.put(demoted_key, demoted)
        return entry[0]

    def put(self, key: str, value: T, *, weight: int) -> None:
        self._used_once.put(key, (value, weight))


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
        """Add an entry; returns those that were removed for it."""
        self.pop(key)
        self._entries[key] = entry
        self._weight += entry[1]
        removed: list[tuple[str, tuple[T, int]]] = []
        while self._weight > self._capacity and self._entries:
            oldest, dropped = self._entries.popitem(last=False)
            self._weight -= dropped[1]
            removed.append((oldest, dropped))
        return removed
