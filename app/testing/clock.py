"""A clock that tests can move."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Runs as the system clock does, ahead of it by what was passed to `pass_`."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    @property
    def ahead_seconds(self) -> float:
        return self._ahead.total_seconds()

    def pass_(self, **duration: float) -> None:
        self._ahead += timedelta(**duration)

    def reset(self) -> None:
        self._ahead = timedelta()
