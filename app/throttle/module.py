"""What the module `throttle` brings."""

from app.clock import Clock
from app.database.database import Database
from app.module import Module, Periodic
from app.periodic import PURGE_SECONDS
from app.security.keys import Secrets
from app.throttle.attempts import AllBudgets, Budget
from app.throttle.events import ThrottleEvent
from app.throttle.metrics import GAUGES
from app.throttle.services.budgets import Budgets
from app.throttle.settings import ThrottleSettings

REPORT_SECONDS = 60


def budgets(
    db: Database, secrets: Secrets, declared: AllBudgets, settings: ThrottleSettings, clock: Clock
) -> Budgets:
    maxima = {budget: scaled_maximum(budget, settings) for budget in declared}
    return Budgets(db, secrets, maxima, clock)


def scaled_maximum(budget: Budget, settings: ThrottleSettings) -> int:
    """Returns the maximum in the setting of a budget, multiplied by THROTTLE_SCALE."""
    maximum: int = getattr(settings, budget.setting)
    return max(1, round(maximum * settings.throttle_scale))


MODULE = Module(
    name="throttle",
    settings=ThrottleSettings,
    events=ThrottleEvent,
    services=(budgets,),
    models="app.throttle.models",
    periodic=(
        Periodic(Budgets, Budgets.report, REPORT_SECONDS),
        Periodic(Budgets, Budgets.purge, PURGE_SECONDS),
    ),
    gauges=GAUGES,
)
