"""A clock that tests move."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Runs with the real one, set forward by what the test has let pass."""

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
