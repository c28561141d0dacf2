"""Of whom the server requires a second factor."""

from dataclasses import dataclass
from enum import Enum

from sqlalchemy import ColumnElement, and_, false, literal_column, not_, or_

from app.factors.models import has_factor
from app.sessions.models import HAS_PROVED_FACTOR
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
        """Returns the condition that a session has to have proved a factor, and has not.

        The user has none; or they have enrolled one elsewhere since, and who has this session may
        only know the password.
        """
        unproved = or_(not_(has_factor(User.id.expression)), not_(HAS_PROVED_FACTOR))
        match self.required:
            case FactorsRequired.OFF:
                return false()
            case FactorsRequired.ADMINS:
                return and_(IS_ADMIN, unproved)
            case FactorsRequired.EVERYBODY:
                return unproved
