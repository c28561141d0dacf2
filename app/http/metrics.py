"""Metrics for Prometheus: requests by operation and outcome, and the gauges of all parts."""

from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from app.http.access_log import Line

Mode = Literal["livesum", "livemostrecent", "livemin", "livemax"]
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# The operation of requests that are not GraphQL or were refused before they were parsed.
OTHER = "other"


class Reading(NamedTuple):
    """A number that is read every few seconds; None is not shown."""

    name: str
    description: str
    read: Callable[[], float | None]
    mode: Mode = "livesum"
    # A counter, which starts at 0 with the process and never decreases.
    is_total: bool = False


class Metrics:
    """The metrics of one worker. Labels come from the schema: clients cannot add new ones."""

    def __init__(self) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "portico_requests",
            "Requests, by operation and outcome.",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "portico_request_seconds",
            "Duration of requests, by operation.",
            ["operation"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._statements = Counter(
            "portico_statements", "SQL statements sent for requests.", registry=self.registry
        )
        self._gauges: dict[str, Gauge] = {}
        self._totals: dict[str, Counter] = {}
        self._last_totals: dict[str, float] = {}

    def observe(self, lines: Sequence[Line]) -> None:
        # Finding a metric by its labels costs more than adding to it: done once for each label.
        outcomes: Counts[tuple[str, str]] = Counts()
        seconds: defaultdict[str, list[float]] = defaultdict(list)
        for line in lines:
            operation = line.operation or OTHER
            outcomes[operation, line.outcome or str(line.status)] += 1
            seconds[operation].append(line.seconds)
        for (operation, outcome), number in outcomes.items():
            self._requests.labels(operation, outcome).inc(number)
        for operation, each in seconds.items():
            observe = self._seconds.labels(operation).observe
            for one in each:
                observe(one)
        if lines:
            self._statements.inc(sum(line.tally.statements for line in lines))

    def update(self, readings: Iterable[Reading]) -> None:
        """Set gauges to their current values, and add to counters what has been added since."""
        for reading in readings:
            value = reading.read()
            if value is None:
                continue
            if reading.is_total:
                self._add(reading, value)
            else:
                self._gauge(reading).set(value)

    def _gauge(self, reading: Reading) -> Gauge:
        if reading.name not in self._gauges:
            # Not before it has a value: a server without a replica must not report one as unused.
            self._gauges[reading.name] = Gauge(
                reading.name,
                reading.description,
                registry=self.registry,
                multiprocess_mode=reading.mode,
            )
        return self._gauges[reading.name]

    def _add(self, reading: Reading, value: float) -> None:
        if reading.name not in self._totals:
            self._totals[reading.name] = Counter(
                reading.name, reading.description, registry=self.registry
            )
        self._totals[reading.name].inc(value - self._last_totals.get(reading.name, 0))
        self._last_totals[reading.name] = value
