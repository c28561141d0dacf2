"""Outages: what goes wrong between here and the database, told apart by what it means."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError

from app.database.errors import DATA_EXCEPTION, ended_session, server_message, sqlstate
from app.errors import Conflict, ConnectionLost, Unavailable

# SQLSTATEs (PostgreSQL, appendix A) of statements, by how they begin. What is said while connecting
# is never judged by its code: see `app.connection_pools`.
LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03")
WITHOUT_MEANS = ("53", "58", "25006", "57014", "55P03")
CONFLICTS = ("40001", "40P01")
PAUSES: Sequence[float] = (0.02, 0.1, 0.4)

Arguments = ParamSpec("Arguments")
Outcome = TypeVar("Outcome")

log = logging.getLogger(__name__)


@contextmanager
def raise_outages() -> Generator[None]:
    """Raise what is the database's fault as what it means, and nothing with what it was about.

    Raises:
        Unavailable: nothing was done.

    """
    try:
        yield
    except Exception as error:
        forget_values(error)
        outage = outage_of(error)
        if outage is None:
            raise
        raise outage from error


def forget_values(error: BaseException) -> None:
    """Take out of a database's error what it quotes, since errors end in logs.

    Its detail is a key or a whole row, hashes and all; what does not fit a type is in the message.
    """
    each: Any = error
    while each is not None:
        if sqlstate(each).startswith(DATA_EXCEPTION):
            each.args = (f"a value does not fit ({sqlstate(each)})",)
        if isinstance(each, DBAPIError):
            each = each.orig
        else:
            each.detail, each = None, each.__cause__


def outage_of(error: BaseException) -> Unavailable | None:
    """Returns what to raise instead of an error of a statement if it is an outage; else None.

    Whatever was under way is rolled back: none of it was done.
    """
    if isinstance(error, Unavailable):
        return None
    state = sqlstate(error)
    if state.startswith(CONFLICTS):
        return Conflict("another transaction was in the way")
    if is_lost(error):
        return ConnectionLost(
            f"the connection was lost: {server_message(error) or type(error).__name__}"
        )
    if state.startswith(WITHOUT_MEANS):
        return Unavailable(f"the database cannot do it now: {server_message(error)}")
    return None


def is_lost(error: BaseException) -> bool:
    """Whether nobody knows what the connection would say next."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, OSError | TimeoutError) or ended_session(error):
        return True
    return sqlstate(error).startswith(LOST)


def retry_on_conflict(
    work: Callable[Arguments, Awaitable[Outcome]],
) -> Callable[Arguments, Awaitable[Outcome]]:
    """Do it again where its transaction lost against another one, a few times.

    For methods whose only effect is one unit of work: of that nothing was done.
    """

    @wraps(work)
    async def again(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Outcome:
        for pause in PAUSES:
            try:
                return await work(*args, **kwargs)
            except Conflict:
                log.info("%s lost against another transaction; once more", work.__qualname__)
                # Not both at the same moment again.
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        return await work(*args, **kwargs)

    return again
