"""Checks whether there is a pooler, and whether the settings fit it."""

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

SERVER_PROCESS = "SELECT pg_backend_pid()"
NO_SUCH_STATEMENT = ("26000", "42P05")
ATTEMPTS = 10


@check("pooler", needs=database)
async def pooler(setup: SetUp) -> Verdict:
    """Detect a pooler with two connections, opened as `portico serve` opens them."""
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
            "A pooler in transaction mode that loses prepared statements.",
            PREPARED_STATEMENTS_OFF,
        )
    finally:
        await link.engine.dispose()


async def _verdict(
    setup: SetUp, one: AsyncConnection, other: AsyncConnection, *, pooler_detected: bool
) -> Verdict:
    if pooler_detected:
        return ok("A pooler that refuses start-up parameters: each transaction sets them.")
    has_pooler = await _has_pooler(one)
    prepared = setup.given.database_prepared_statements
    if has_pooler and await _is_shared(one, other):
        return ok(
            "A pooler in transaction mode that keeps prepared statements."
            if prepared
            else "A pooler in transaction mode; statements are not prepared."
        )
    if not prepared:
        return warning(
            "No pooler in transaction mode was found, and DATABASE_PREPARED_STATEMENTS=false.",
            "Leave it unset: the database then parses each statement once.",
        )
    return ok("A pooler, probably in session mode." if has_pooler else "None.")


async def _has_pooler(connection: AsyncConnection) -> bool:
    """Whether the process id differs from the one sent at the start of the connection.

    A pooler sends a cancel key of its own there (PgBouncer, `src/proto.c`).
    """
    greeted_by: int = (await _driver(connection)).get_server_pid()
    return greeted_by != await _server_of(connection)


async def _is_shared(one: AsyncConnection, other: AsyncConnection) -> bool:
    """Whether a connection may use another server connection for each transaction.

    Statements are prepared once for each connection, so this fails if a pooler loses them.
    """
    first = await _server_of(other)
    for _ in range(ATTEMPTS):
        # One connection holds a server connection, so the other one has to use another. Which one
        # depends on the pooler and its other clients.
        held = await _server_in_transaction(one)
        second = await _server_of(other)
        await one.rollback()
        # Then the server connection that was given back last is the next one of many poolers.
        third = await _server_of(other)
        if held == first or {second, third} != {first}:
            return True
    return False


async def _server_of(connection: AsyncConnection) -> int:
    server = await _server_in_transaction(connection)
    await connection.rollback()
    return server


async def _server_in_transaction(connection: AsyncConnection) -> int:
    """Returns the id of the server process, and leaves the transaction open."""
    server: int = (await connection.execute(text(SERVER_PROCESS))).scalar_one()
    return server


async def _driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection
