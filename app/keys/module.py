"""What the module `keys` brings."""

from datetime import timedelta

from app.clock import Clock
from app.database.database import Database
from app.keys.metrics import GAUGES
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.key_rotation import REFRESH_SECONDS, KeyRotation
from app.keys.services.signing_keys import SigningKeys
from app.keys.settings import KeySettings
from app.module import Module, Periodic
from app.security.keys import Secrets


def key_rotation(
    db: Database, secrets: Secrets, fleet: FleetSecrets, clock: Clock, settings: KeySettings
) -> KeyRotation:
    rotate_after = timedelta(days=settings.signing_key_rotate_days)
    token_lifetime = timedelta(minutes=settings.access_token_expire_minutes)
    return KeyRotation(db, secrets, fleet, clock, rotate_after, token_lifetime)


MODULE = Module(
    name="keys",
    settings=KeySettings,
    services=(FleetSecrets, key_rotation, SigningKeys),
    models="app.keys.models",
    periodic=(Periodic(SigningKeys, SigningKeys.refresh, REFRESH_SECONDS, in_worker=True),),
    gauges=GAUGES,
)
