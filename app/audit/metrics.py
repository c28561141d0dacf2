"""Metrics of the audit: when it was last verified, and with which result."""

from app.audit.services.last_verification import LastVerification
from app.module import Gauge

# Read from the database by every process: the sum over processes would mean nothing.
GAUGES = (
    Gauge(
        "portico_audit_verified_timestamp_seconds",
        "When the audit was last verified; 0 if never.",
        LastVerification,
        lambda last: last.at,
        mode="livemostrecent",
    ),
    Gauge(
        "portico_audit_verified_ok",
        "Whether the audit was valid then: 1 or 0.",
        LastVerification,
        lambda last: last.is_valid,
        mode="livemostrecent",
    ),
)
