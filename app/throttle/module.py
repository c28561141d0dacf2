"""What the module `throttle` brings."""

from app.clock import Clock
from app.database.database import Database
from app.module import Gauge, Module, Periodic
from app.periodic import PURGE_SECONDS
from app.security.device_tokens import DeviceTokens
from app.security.keys import Secrets
from app.throttle.events import ThrottleEvent
from app.throttle.services.budgets import Budget, Budgets
from app.throttle.services.known_devices import Devices
from app.throttle.services.throttle import Throttle
from app.throttle.settings import ThrottleSettings

REPORT_SECONDS = 60


def budgets(db: Database, secrets: Secrets, settings: ThrottleSettings, clock: Clock) -> Budgets:
    named = {budget: getattr(settings, f"throttle_{budget.name.lower()}") for budget in Budget}
    scale = settings.throttle_scale
    limits = {budget: max(1, round(number * scale)) for budget, number in named.items()}
    return Budgets(db, secrets, limits, clock)


MODULE = Module(
    name="throttle",
    settings=ThrottleSettings,
    events=ThrottleEvent,
    services=(budgets, DeviceTokens.of, Devices, Throttle),
    models="app.throttle.models",
    periodic=(
        Periodic(Budgets, Budgets.report, REPORT_SECONDS),
        Periodic(Budgets, Budgets.purge, PURGE_SECONDS),
    ),
    gauges=(
        Gauge(
            "portico_budgets_refused",
            "Tries that were over a budget.",
            Budgets,
            lambda budgets: budgets.refused,
            is_total=True,
        ),
    ),
)
