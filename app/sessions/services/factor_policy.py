"""Of whom the server requires a second factor."""

from dataclasses import dataclass
from enum import Enum

from sqlalchemy import ColumnElement, and_, false, literal_column, not_

from app.factors.models import has_factor
from app.users.models import Role, User


class FactorsRequired(Enum):
    """Who must have a second factor."""

    OFF = "off"
    ADMINS = "admins"
    EVERYBODY = "everybody"


# Not a parameter: `Query` has those only that have a value in each run.
IS_ADMIN = User.role == literal_column(f"'{Role.ADMIN.value}'")


@dataclass(frozen=True, slots=True)
class FactorPolicy:
    required: FactorsRequired

    def lacks_factor(self) -> ColumnElement[bool]:
        """Returns the condition that a user has to have a factor, and has none."""
        match self.required:
            case FactorsRequired.OFF:
                return false()
            case FactorsRequired.ADMINS:
                return and_(IS_ADMIN, not_(has_factor(User.id.expression)))
            case FactorsRequired.EVERYBODY:
                return not_(has_factor(User.id.expression))
