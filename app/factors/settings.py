"""The settings of the module `factors`."""

from typing import Literal

from pydantic import BaseModel, Field


class FactorSettings(BaseModel):
    second_factor_required: Literal["off", "admins", "everybody"] = Field(
        default="off",
        description="who must have a second factor: who has none can sign in, but do nothing "
        "except enrolling one",
    )
