"""Connection pools that raise every failure to connect as one error: `NotConnected`.

Every connection of Portico comes from one of these (`Connector.engine`), so a failure to connect is
distinguished from a failed statement by its type, and never by its SQLSTATE. A role without LOGIN,
a changed password, a rule in pg_hba.conf, a renamed database, a connection limit, a TLS refusal, an
error of a pooler, and a server that is not PostgreSQL have no SQLSTATE in common.
"""

from sqlalchemy import AsyncAdaptedQueuePool, NullPool, Pool, PoolProxiedConnection
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.database.errors import server_message
from app.errors import NotConnected


class ConnectingPool(Pool):
    def connect(self) -> PoolProxiedConnection:
        """Take a connection, opening it first if necessary.

        Raises:
            NotConnected: no connection can be opened, for any reason.

        """
        try:
            return super().connect()
        except Exception as error:
            raise _not_connected(error) from error


class QueuePool(ConnectingPool, AsyncAdaptedQueuePool):
    """Keeps connections for reuse."""


class NoPool(ConnectingPool, NullPool):
    """Opens a connection each time."""


def _not_connected(error: Exception) -> NotConnected:
    if isinstance(error, PoolTimeout):
        return NotConnected("no connection became free in time")
    return NotConnected(
        f"no connection could be made: {server_message(error) or type(error).__name__}"
    )
