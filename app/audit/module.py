"""What the module `audit` brings."""

from app.audit.events import RetentionEvent
from app.audit.metrics import GAUGES
from app.audit.services.checkpoints import Checkpoints
from app.audit.services.integrity.checkpoint_copies import CheckpointCopies
from app.audit.services.integrity.records import VerificationRecords
from app.audit.services.integrity.verifier import AuditVerifier
from app.audit.services.last_verification import LastVerification
from app.audit.services.reading import AuditEvents
from app.audit.services.retention import AuditRetention
from app.audit.settings import AuditSettings
from app.clock import Clock
from app.database.database import Database
from app.keys.services.fleet_secrets import FleetSecrets
from app.module import Module, Periodic
from app.periodic import PURGE_SECONDS
from app.security.keys import Secrets

CHECKPOINT_SECONDS = 300
REFRESH_SECONDS = 30


def retention(
    db: Database,
    checkpoints: Checkpoints,
    secrets: Secrets,
    fleet: FleetSecrets,
    clock: Clock,
    settings: AuditSettings,
) -> AuditRetention:
    return AuditRetention(db, checkpoints, secrets, fleet, clock, settings.audit_keep_days)


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
        AuditVerifier,
        AuditEvents,
    ),
    schema="app.audit.schema",
    models="app.audit.models",
    periodic=(
        Periodic(Checkpoints, Checkpoints.sign, CHECKPOINT_SECONDS),
        Periodic(AuditRetention, AuditRetention.apply, PURGE_SECONDS),
        Periodic(LastVerification, LastVerification.refresh, REFRESH_SECONDS),
    ),
    gauges=GAUGES,
)
