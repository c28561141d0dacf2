"""Metrics of keys: how many secrets of other servers this process lacks."""

from app.keys.services.fleet_secrets import FleetSecrets
from app.module import Gauge

GAUGES = (
    Gauge(
        "portico_secrets_unknown",
        "Secrets of other servers that this process lacks.",
        FleetSecrets,
        lambda fleet: len(fleet.state.missing),
        # Read from the database by every process: the sum over processes would mean nothing.
        mode="livemostrecent",
        in_worker=True,
    ),
)
