"""The gauges of a process, which are read for its metrics every few seconds."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from app.composition import Portico
from app.database.database import Database
from app.database.replica import Replica
from app.engine.documents import Documents
from app.http.metrics import Reading
from app.module import Gauge
from app.server.connection_limits import ConnectionLimiter

READING_SECONDS = 5


def readings_of(
    portico: Portico, documents: Documents, limiter: ConnectionLimiter
) -> Iterator[Reading]:
    """Yield the readings of the modules and of the platform."""
    database, replica = portico.services[Database], portico.services[Replica]
    yield Reading("portico_connections", "Open HTTP connections.", lambda: len(limiter.connections))
    yield Reading(
        "portico_database_connections",
        "Connections of the pool that are in use.",
        lambda: database.connections_in_use,
    )
    yield Reading(
        "portico_document_cache_hits",
        "Documents that were in the cache.",
        lambda: documents.hits,
        is_total=True,
    )
    yield Reading(
        "portico_document_cache_misses",
        "Documents that had to be parsed and validated.",
        lambda: documents.misses,
        is_total=True,
    )
    if replica.replica is not None:
        yield from readings_of_replica(replica)
    for module in portico.modules:
        for gauge in module.gauges:
            yield reading_of(portico, gauge)


def reading_of(portico: Portico, gauge: Gauge[Any]) -> Reading:
    read = partial(gauge.read, portico.services[gauge.service])
    return Reading(gauge.name, gauge.description, read, gauge.mode, gauge.is_total)


def readings_of_replica(replica: Replica) -> Iterator[Reading]:
    """Yield those of the replica: of several workers, the worst value is shown."""
    yield Reading(
        "portico_replica_in_use",
        "1 while the replica is read, 0 while it is left out.",
        lambda: int(replica.is_in_use),
        "livemin",
    )
    yield Reading(
        "portico_replica_lag_seconds",
        "How long ago the replica is known to have had all that the primary had.",
        lambda: replica.lag_seconds,
        "livemax",
    )
