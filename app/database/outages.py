"""Turns errors of the database and its connections into `Unavailable` and its kinds."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from asyncpg.exceptions import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    InterfaceError,
    InternalClientError,
)
from sqlalchemy.exc import DBAPIError

from app.database.errors import DATA_EXCEPTION, ended_session, server_message, sqlstate
from app.errors import Conflict, ConnectionLost, Unavailable

# SQLSTATEs (PostgreSQL, appendix A) of statements, by their beginning. Errors while connecting are
# never classified by SQLSTATE: see `app.database.connection_pools`.
CONNECTION_LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03")
# What the driver raises, without an SQLSTATE, for a connection that has ended between statements.
CLOSED = "connection is closed"
UNAVAILABLE = ("53", "58", "25006", "57014", "55P03")
CONFLICTS = ("40001", "40P01")
RETRY_PAUSES: Sequence[float] = (0.02, 0.1, 0.4)

Arguments = ParamSpec("Arguments")
Outcome = TypeVar("Outcome")

log = logging.getLogger(__name__)


@contextmanager
def raise_outages() -> Generator[None]:
    """Raise outages as `Unavailable`, and remove values from all database errors.

    Raises:
        Unavailable: nothing was done.

    """
    try:
        yield
    except Exception as error:
        remove_values(error)
        outage = outage_from(error)
        if outage is None:
            raise
        raise outage from error


def remove_values(error: BaseException) -> None:
    """Remove the values that a database error quotes, since errors end up in logs.

    Its detail contains a key or a whole row, with hashes; the message of a data exception contains
    the invalid value.
    """
    each: Any = error
    while each is not None:
        if sqlstate(each).startswith(DATA_EXCEPTION):
            each.args = (f"invalid value ({sqlstate(each)})",)
        if isinstance(each, DBAPIError):
            each = each.orig
        else:
            each.detail, each = None, each.__cause__


def outage_from(error: BaseException) -> Unavailable | None:
    """Returns the outage to raise instead of an error of a statement; None if it is no outage.

    The transaction is rolled back: nothing was done.
    """
    if isinstance(error, Unavailable):
        return None
    state = sqlstate(error)
    if state.startswith(CONFLICTS):
        return Conflict("conflict with another transaction")
    if is_lost(error):
        return ConnectionLost(
            f"the connection was lost: {server_message(error) or type(error).__name__}"
        )
    if state.startswith(UNAVAILABLE):
        return Unavailable(f"the database cannot do it now: {server_message(error)}")
    return None


def is_lost(error: BaseException) -> bool:
    """Whether the connection can no longer be used."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, OSError | TimeoutError) or ended_session(error):
        return True
    if isinstance(error, InterfaceError) and CLOSED in str(error):
        return True
    if isinstance(error, InternalClientError):
        # The server has said that it ends the connection, and the end itself has not arrived yet.
        return True
    return sqlstate(error).startswith(CONNECTION_LOST)


def retry_on_conflict(
    work: Callable[Arguments, Awaitable[Outcome]],
) -> Callable[Arguments, Awaitable[Outcome]]:
    """Repeat a method, a few times, if its transaction lost against another one.

    Only for methods whose only effect is one unit of work, which was rolled back.
    """

    @wraps(work)
    async def retrying(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Outcome:
        for pause in RETRY_PAUSES:
            try:
                return await work(*args, **kwargs)
            except Conflict:
                log.info("%s lost against another transaction; trying again", work.__qualname__)
                # Random, so that the two transactions do not meet again.
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        return await work(*args, **kwargs)

    return retrying
