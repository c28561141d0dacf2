"""The metric of workers that were replaced, and why."""

from prometheus_client import CollectorRegistry, Counter

EXITED = "exited"
HUNG = "hung"


def replaced_workers(registry: CollectorRegistry) -> Counter:
    replaced = Counter(
        "portico_workers_replaced",
        "Workers that ended or hung, and were replaced.",
        ["reason"],
        registry=registry,
    )
    # So that the first one is an increase.
    for reason in (EXITED, HUNG):
        replaced.labels(reason)
    return replaced
