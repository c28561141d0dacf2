"""How far a replica is behind, in seconds, measured by positions in the write-ahead log."""

from collections import deque
from typing import NamedTuple

# Half an hour, with a check every two seconds.
MAX_POSITIONS = 900


class WalPosition(NamedTuple):
    """The position of the primary in its write-ahead log at a moment."""

    moment: float
    position: int


class ReplicaLag:
    """How far the replica is behind.

    `pg_last_xact_replay_timestamp()` alone shows hours also if nothing was written for hours.
    Comparing what the primary had written at a moment with what the replica has replayed now is
    right for an idle primary, for a replica that has lost its connection to the primary, and for
    one that restores an archive; and it uses one clock only. Moments are of a monotonic clock,
    positions in bytes since the beginning of the log.
    """

    def __init__(self) -> None:
        # When the oldest are dropped, the replica seems to be further behind than it is.
        self._not_replayed: deque[WalPosition] = deque(maxlen=MAX_POSITIONS)
        # The replica is known to have everything up to this moment.
        self._complete_until: float | None = None

    def compare(self, primary: WalPosition, replayed: int, replay_age: float | None) -> None:
        """Record both positions; `replay_age` is that of the last replayed transaction, in seconds.

        The primary has to be read first: what it writes after that is not missing yet.
        """
        self._drop_lost_positions(primary)
        self._not_replayed.append(primary)
        while self._not_replayed and self._not_replayed[0].position <= replayed:
            self._complete_until = self._not_replayed.popleft().moment
        if self._complete_until is None and replay_age is not None:
            # Nothing else is known of the time before the first comparison.
            self._complete_until = primary.moment - replay_age

    def seconds(self, now: float) -> float | None:
        """Returns the age of the state that the replica is known to have; None if unknown."""
        return None if self._complete_until is None else max(0.0, now - self._complete_until)

    def _drop_lost_positions(self, primary: WalPosition) -> None:
        """Drop positions that a new primary has not reached, since it lost the end of the log."""
        while self._not_replayed and self._not_replayed[-1].position >= primary.position:
            self._not_replayed.pop()
