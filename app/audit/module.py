"""What the module `audit` brings."""

from app.audit.events import RetentionEvent
from app.audit.services.checkpoints import Checkpoints
from app.audit.services.integrity.copies import CheckpointCopies
from app.audit.services.integrity.records import VerificationRecords
from app.audit.services.integrity.verification import Verification
from app.audit.services.last_verification import LastVerification
from app.audit.services.reading import AuditEvents
from app.audit.services.retention import AuditRetention
from app.audit.settings import AuditSettings
from app.clock import Clock
from app.database.database import Database
from app.keys.services.fleet_secrets import FleetSecrets
from app.module import Gauge, Module, Periodic
from app.periodic import PURGE_SECONDS
from app.security.keys import Secrets

CHECKPOINT_SECONDS = 300
LOOK_SECONDS = 30


def retention(
    db: Database,
    checkpoints: Checkpoints,
    secrets: Secrets,
    fleet: FleetSecrets,
    clock: Clock,
    settings: AuditSettings,
) -> AuditRetention:
    return AuditRetention(db, checkpoints, secrets, fleet, clock, settings.audit_keep_days)


GAUGES = (
    # The same in every worker: their sum would mean nothing.
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

MODULE = Module(
    name="audit",
    settings=AuditSettings,
    events=RetentionEvent,
    services=(
        Checkpoints,
        CheckpointCopies,
        retention,
        VerificationRecords,
        LastVerification,
        Verification,
        AuditEvents,
    ),
    schema="app.audit.schema",
    models="app.audit.models",
    periodic=(
        Periodic(Checkpoints, Checkpoints.sign, CHECKPOINT_SECONDS),
        Periodic(AuditRetention, AuditRetention.apply, PURGE_SECONDS),
        Periodic(LastVerification, LastVerification.look, LOOK_SECONDS),
    ),
    gauges=GAUGES,
    commands="app.audit.commands",
)
