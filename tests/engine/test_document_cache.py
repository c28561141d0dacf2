"""The cache of documents, under a flood of texts that are sent once."""

from app.engine.cache import SegmentedCache


def test_a_flood_of_new_entries_does_not_evict_entries_used_twice() -> None:
    cache = SegmentedCache[int](1000)
    cache.put("hot", 1, weight=100)
    assert cache.get("hot") == 1

    for number in range(10_000):
        cache.put(f"cold {number}", number, weight=100)

    assert cache.get("hot") == 1


def test_the_weight_of_all_entries_is_bounded() -> None:
    cache = SegmentedCache[int](1000)
    for number in range(100):
        cache.put(str(number), number, weight=100)
        cache.get(str(number))

    kept = [number for number in range(100) if cache.get(str(number)) is not None]

    assert len(kept) <= 10


def test_an_entry_heavier_than_the_capacity_is_not_kept() -> None:
    cache = SegmentedCache[int](1000)

    cache.put("heavy", 1, weight=2000)

    assert cache.get("heavy") is None
