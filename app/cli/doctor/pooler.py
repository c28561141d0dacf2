"""A check of what stands between here and the database, and whether the settings fit it."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.cli.doctor.database import database
from app.cli.doctor.environment import SetUp, linked
from app.cli.doctor.findings import Verdict, check, failed, ok, warning
from app.cli.setup import url_of
from app.database.errors import PREPARED_STATEMENTS_OFF, sqlstate
from app.database.outages import raise_outages

BACKEND = "SELECT pg_backend_pid()"
NO_SUCH_STATEMENT = ("26000", "42P05")
TIMES = 10


@check("pooler", needs=database)
async def pooler(setup: SetUp) -> Verdict:
    """Find out with two connections, opened as `portico serve` opens its own."""
    link = linked(
        setup.settings,
        url_of(setup.settings),
        prepared=setup.given.database_prepared_statements,
    )
    try:
        with raise_outages():
            async with link.engine.connect() as one, link.engine.connect() as other:
                return await _verdict(
                    setup, one, other, pooler_detected=link.connector.pooler_detected
                )
    except DBAPIError as error:
        if sqlstate(error) not in NO_SUCH_STATEMENT:
            raise
        return failed(
            "One in transaction mode that does not keep prepared statements.",
            PREPARED_STATEMENTS_OFF,
        )
    finally:
        await link.engine.dispose()


async def _verdict(
    setup: SetUp, one: AsyncConnection, other: AsyncConnection, *, pooler_detected: bool
) -> Verdict:
    if pooler_detected:
        return ok("One that refuses start-up parameters: each transaction sets them itself.")
    between = await _is_between(one)
    prepared = setup.given.database_prepared_statements
    if between and await _is_shared(one, other):
        return ok(
            "One in transaction mode that keeps prepared statements."
            if prepared
            else "One in transaction mode; no statement is prepared."
        )
    if not prepared:
        return warning(
            "No pooler in transaction mode was found, and DATABASE_PREPARED_STATEMENTS=false.",
            "Leave it unset: the database then parses each statement once.",
        )
    return ok("One in session mode, as far as can be seen." if between else "None.")


async def _is_between(connection: AsyncConnection) -> bool:
    """Whether the server that answers is another one than the connection was made to.

    A pooler sends a key of its own at the start of a connection (PgBouncer, `src/proto.c`).
    """
    greeted_by: int = (await _driver(connection)).get_server_pid()
    return greeted_by != await _server_of(connection)


async def _is_shared(one: AsyncConnection, other: AsyncConnection) -> bool:
    """Whether a connection may have another server for each transaction.

    Statements are prepared once for each connection, so that this fails where a pooler loses them.
    """
    first = await _server_of(other)
    for _ in range(TIMES):
        # One holds a server, so that the other one has to take another: which is given out next is
        # for the pooler to say, and for everybody else who uses it now.
        held = await _ask(one)
        second = await _server_of(other)
        await one.rollback()
        if held == first or second != first:
            return True
    return False


async def _server_of(connection: AsyncConnection) -> int:
    server = await _ask(connection)
    await connection.rollback()
    return server


async def _ask(connection: AsyncConnection) -> int:
    """Returns the process that serves a transaction, and leaves it open."""
    server: int = (await connection.execute(text(BACKEND))).scalar_one()
    return server


async def _driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection
