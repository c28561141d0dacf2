"""How many cores this process may use: in a container, often fewer than the machine has."""

import os
from contextlib import suppress
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores(quota: Path = QUOTA) -> int:
    """Returns the number of usable cores: at least one, at most the container's quota (cgroup v2).

    More threads use up the quota early, and the kernel then throttles the whole process, the event
    loop included, until the next period of 100 milliseconds.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with suppress(OSError, ValueError):
        # Without a limit it is `max 100000`: a ValueError.
        quota_us, period_us = (int(number) for number in quota.read_text(encoding="ascii").split())
        return max(1, min(available or 1, quota_us // period_us))
    return available or 1
