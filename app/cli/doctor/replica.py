"""A check of the streaming replica for the pages of administrators."""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.cli.doctor.database import migrations
from app.cli.doctor.environment import SetUp, opened
from app.cli.doctor.findings import Verdict, check, failed, not_checked, ok, warning
from app.cli.sizes import in_largest_unit
from app.database.database import Database
from app.database.errors import explanation
from app.database.outages import remove_values
from app.database.readiness import REVISION
from app.errors import Unavailable

# The lag is zero if all received changes are replayed: an idle primary sends none.
STATE = text("""
    SELECT pg_is_in_recovery() AS is_standby,
        CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN interval '0'
        ELSE clock_timestamp() - pg_last_xact_replay_timestamp() END AS lag
""")


@check("replica", needs=migrations)
async def replica(setup: SetUp) -> Verdict:
    url = setup.given.database_read_url
    if url is None:
        return not_checked("DATABASE_READ_URL is not set.")
    replica = opened(setup.given, url.get_secret_value())
    try:
        return await _verdict(setup, replica)
    except (SQLAlchemyError, Unavailable, OSError) as problem:
        remove_values(problem)
        # The hints are about the other address.
        return failed(explanation(problem).replace("DATABASE_URL", "DATABASE_READ_URL"))
    finally:
        await replica.close()


async def _verdict(setup: SetUp, replica: Database) -> Verdict:
    [state] = await replica.rows(STATE)
    if not state.is_standby:
        return failed(
            "The server in DATABASE_READ_URL is not a replica (any more).",
            "Its data differs from that of the primary: rebuild it, or use another one.",
        )
    if await replica.rows(REVISION) != await setup.db.rows(REVISION):
        return failed(
            "Its revision is not that of the primary: is it a replica of another database?"
        )
    if state.lag is None:
        return warning("It has not replayed anything yet.")
    most = setup.given.database_read_max_lag_seconds
    if most != "off" and state.lag > timedelta(seconds=most):
        return warning(
            f"It is {in_largest_unit(state.lag)} behind.",
            "The primary answers until the lag is below DATABASE_READ_MAX_LAG_SECONDS.",
        )
    return ok(f"It is {in_largest_unit(state.lag)} behind.")
