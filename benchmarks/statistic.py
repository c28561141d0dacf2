"""The statistics that the benchmarks need, without a library."""

import math
from collections import Counter
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def mann_whitney(ones: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Test whether two samples come from one distribution (rank test, normal approximation).

    Returns how likely one of the first is greater than one of the second (0.5: no difference), and
    the two-sided p-value. Ties share their mean rank; valid from about 20 values a side.
    """
    first, second = len(ones), len(others)
    ranks = _mean_ranks([*ones, *others])
    greater = sum(ranks[value] for value in ones) - first * (first + 1) / 2
    total = first + second
    ties = sum(count**3 - count for count in Counter([*ones, *others]).values())
    variance = first * second / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance == 0:
        return 0.5, 1.0
    distance = abs(greater - first * second / 2) - 0.5
    return greater / (first * second), math.erfc(max(0.0, distance) / math.sqrt(2 * variance))


def _mean_ranks(values: Sequence[float]) -> dict[float, float]:
    ranks: dict[float, float] = {}
    before = 0
    for value, count in sorted(Counter(values).items()):
        ranks[value] = before + (count + 1) / 2
        before += count
    return ranks
