"""Which exceptions are errors of the configuration or of other services, and no bugs."""

from sqlalchemy.exc import SQLAlchemyError

from app.database.errors import explanation
from app.database.outages import remove_values
from app.errors import MigrationBlocked, Misconfigured, Unavailable

EXPECTED = (Misconfigured, MigrationBlocked, SQLAlchemyError, Unavailable, OSError)
# Explained with the message of the database.
OF_CONNECTIONS = (SQLAlchemyError, Unavailable, ConnectionError)


def line_of(problem: Exception) -> str:
    """Returns the line that is printed for an expected exception.

    Removes values of statements from it, which must not be logged.
    """
    line = explanation(problem) if isinstance(problem, OF_CONNECTIONS) else str(problem)
    remove_values(problem)
    return line
