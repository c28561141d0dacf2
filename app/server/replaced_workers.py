"""The metric of replaced workers, by reason."""

from prometheus_client import CollectorRegistry, Counter

EXITED = "exited"
HUNG = "hung"


def replaced_workers(registry: CollectorRegistry) -> Counter:
    replaced = Counter(
        "portico_workers_replaced",
        "Workers that were replaced because they exited or hung.",
        ["reason"],
        registry=registry,
    )
    # Both labels exist from the start, so that the first one is an increase.
    for reason in (EXITED, HUNG):
        replaced.labels(reason)
    return replaced
