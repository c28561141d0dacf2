"""The settings of the module `throttle`, and those of the budgets of all modules."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field, create_model

from app.throttle.attempts import Budget


class ThrottleSettings(BaseModel):
    throttle_scale: float = Field(
        default=1.0, gt=0, description="multiplies all limits on attempts; for load tests"
    )


def budget_settings(budgets: Iterable[Budget]) -> type[BaseModel]:
    """Returns a class with the setting of each budget."""
    fields: dict[str, Any] = {budget.setting: (int, _maximum(budget)) for budget in budgets}
    return create_model("BudgetSettings", **fields)


def _maximum(budget: Budget) -> Any:
    return Field(default=budget.maximum, ge=1, description=budget.description)
