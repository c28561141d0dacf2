"""Metrics for Prometheus: what was asked and how it went, and how full everything is."""

from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from app.http.access_log import Line
from app.jobs.metrics import JobMetrics

Mode = Literal["livesum", "livemostrecent", "livemin", "livemax"]
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# What is not GraphQL, and what was refused before anybody knew what it asks.
OTHER = "other"
GAUGES: Mapping[str, str] = {
    "portico_connections": "HTTP connections that are open.",
    "portico_database_connections": "Connections of the pool that are taken.",
    "portico_hashing_places_taken": "Passwords that are hashed, or wait to be.",
}
# The same in every worker: their sum would mean nothing.
SHARED_GAUGES: Mapping[str, str] = {
    "portico_secrets_unknown": "Secrets of others that this process lacks.",
    "portico_audit_verified_timestamp_seconds": "When the audit was last verified; 0 if never.",
    "portico_audit_verified_ok": "Whether the audit was valid then: 1 or 0.",
}
# Absent until they are known: a server without a replica must not seem to have left one out. Of
# several workers the one that fares worst is shown.
REPLICA_GAUGES: Mapping[str, tuple[Mode, str]] = {
    "portico_replica_in_use": ("livemin", "1 while the replica is read, 0 while it is left out."),
    "portico_replica_lag_seconds": (
        "livemax",
        "How long ago the replica is known to have had all that the primary had.",
    ),
}
TOTALS: Mapping[str, str] = {
    "portico_document_cache_hits": "Documents that were known.",
    "portico_document_cache_misses": "Documents that had to be parsed and validated.",
    "portico_token_cache_hits": "Access tokens whose signature was known.",
    "portico_token_cache_misses": "Access tokens whose signature had to be checked.",
    "portico_budgets_refused": "Tries that were over a budget.",
}


class Metrics:
    """The metrics of one worker. Labels come from the schema: clients cannot make up new ones."""

    def __init__(self) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "portico_requests",
            "Requests, by what they asked and how it went.",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "portico_request_seconds",
            "How long requests took, by what they asked.",
            ["operation"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._statements = Counter(
            "portico_statements", "Statements sent for requests.", registry=self.registry
        )
        self._gauges = {name: self._gauge(name, text, "livesum") for name, text in GAUGES.items()}
        self._gauges |= {
            name: self._gauge(name, text, "livemostrecent") for name, text in SHARED_GAUGES.items()
        }
        self._totals = {
            name: Counter(name, text, registry=self.registry) for name, text in TOTALS.items()
        }
        self._counted = dict.fromkeys(TOTALS, 0.0)
        self.jobs = JobMetrics(self.registry)

    def observe(self, lines: Sequence[Line]) -> None:
        # Finding a metric by its labels costs more than counting in it: once for all that share it.
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

    def take(self, figures: Mapping[str, float]) -> None:
        """Take over what is counted elsewhere: gauges as they are, totals by what was added."""
        for name, value in figures.items():
            if name in REPLICA_GAUGES and name not in self._gauges:
                mode, text = REPLICA_GAUGES[name]
                self._gauges[name] = self._gauge(name, text, mode)
            if name in self._gauges:
                self._gauges[name].set(value)
            else:
                self._totals[name].inc(value - self._counted[name])
                self._counted[name] = value

    def _gauge(self, name: str, text: str, mode: Mode) -> Gauge:
        return Gauge(name, text, registry=self.registry, multiprocess_mode=mode)
