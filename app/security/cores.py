"""How many cores this process may use, which in a container is not how many the machine has."""

import os
from contextlib import suppress
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores(quota: Path = QUOTA) -> int:
    """Count them: at least one, and no more than a container's share (cgroup v2).

    More threads than that use up the share at once, and the whole process stands still, the loop
    that answers included, until the next hundred milliseconds.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with suppress(OSError, ValueError):
        # `max 100000` where there is no limit, which is no number.
        share, period = (int(number) for number in quota.read_text(encoding="ascii").split())
        return max(1, min(available or 1, share // period))
    return available or 1
