"""Metrics of rate limits: how many attempts were refused."""

from app.module import Gauge
from app.throttle.services.budgets import Budgets

GAUGES = (
    Gauge(
        "portico_budgets_refused",
        "Attempts that were over a budget.",
        Budgets,
        lambda budgets: budgets.refused,
        is_total=True,
    ),
)
