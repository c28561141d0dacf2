"""How far a replica is behind, in seconds, measured by positions in the write-ahead log."""

from collections import deque
from typing import NamedTuple

# At a look every two seconds, half an hour.
MOST_KEPT = 900


class Written(NamedTuple):
    """Where the primary was in its log at a moment."""

    moment: float
    position: int


class ReplicaLag:
    """Since when the replica may lack something.

    `pg_last_xact_replay_timestamp()` alone says that nothing was replayed for hours, also where
    nothing was written for hours. What the primary had written at a moment, compared with what the
    replica has replayed by now, is right for an idle primary, for a replica that has lost its
    connection to the primary, and for one that restores an archive; and one clock measures it.
    Moments are of a monotonic clock, positions in bytes since the beginning of the log.
    """

    def __init__(self) -> None:
        # When the oldest are forgotten, the replica seems to be further behind than it is.
        self._missing: deque[Written] = deque(maxlen=MOST_KEPT)
        # The last moment of which it is known to have had all.
        self._complete_at: float | None = None

    def compare(self, primary: Written, replayed: int, replay_age: float | None) -> None:
        """Take in what both said; `replay_age` is that of the last transaction it has replayed.

        The primary has to be asked first: what it writes after that is not missing yet.
        """
        self._forget_another_log(primary)
        self._missing.append(primary)
        while self._missing and self._missing[0].position <= replayed:
            self._complete_at = self._missing.popleft().moment
        if self._complete_at is None and replay_age is not None:
            # All that is known of the time before the first comparison.
            self._complete_at = primary.moment - replay_age

    def seconds(self, now: float) -> float | None:
        """Returns how long ago it is known to have had all; None if it never was."""
        return None if self._complete_at is None else max(0.0, now - self._complete_at)

    def _forget_another_log(self, primary: Written) -> None:
        """Drop positions that a new primary has not reached, since it lost the end of the log."""
        while self._missing and self._missing[-1].position >= primary.position:
            self._missing.pop()
