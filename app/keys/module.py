"""What the module `keys` brings."""

from datetime import timedelta

from app.clock import Clock
from app.database.database import Database
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.signing_keys import REFRESH_SECONDS, SigningKeys
from app.keys.settings import KeySettings
from app.module import Gauge, Module, Periodic
from app.security.keys import Secrets


def signing_keys(
    db: Database, secrets: Secrets, fleet: FleetSecrets, clock: Clock, settings: KeySettings
) -> SigningKeys:
    rotate_after = timedelta(days=settings.signing_key_rotate_days)
    token_lifetime = timedelta(minutes=settings.access_token_expire_minutes)
    return SigningKeys(db, secrets, fleet, clock, rotate_after, token_lifetime)


MODULE = Module(
    name="keys",
    settings=KeySettings,
    services=(FleetSecrets, signing_keys),
    models="app.keys.models",
    periodic=(Periodic(SigningKeys, SigningKeys.refresh, REFRESH_SECONDS, in_worker=True),),
    gauges=(
        Gauge(
            "portico_secrets_unknown",
            "Secrets of others that this process lacks.",
            FleetSecrets,
            lambda fleet: len(fleet.state.lacking),
            # The same in every worker: their sum would mean nothing.
            mode="livemostrecent",
            in_worker=True,
        ),
    ),
    commands="app.keys.commands",
)
