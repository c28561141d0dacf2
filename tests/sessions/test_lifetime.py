"""When a session is over: SQL and Python say the same of every session."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import TIMESTAMP, literal, select

from app.composition import build
from app.database.database import Database
from app.sessions.lifetime import InSql, Lifetime
from app.settings import Settings

NOW = datetime(2027, 1, 1, tzinfo=UTC)
TIME = TIMESTAMP(timezone=True)
# Around now to the microsecond, so that equal times are met.
times = st.integers(-2, 2).map(lambda number: NOW + timedelta(microseconds=number))
lifetimes = st.builds(Lifetime, st.none() | times, times, times)


def in_sql(lifetime: Lifetime) -> InSql:
    return InSql(
        literal(lifetime.ended_at, TIME),
        literal(lifetime.expires_at, TIME),
        literal(lifetime.ends_by, TIME),
    )


@pytest.fixture
def database(settings: Settings) -> Database:
    """Without a connection yet: each example has an event loop of its own."""
    return build(settings).services[Database]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lifetime=lifetimes)
def test_sql_and_python_agree(database: Database, lifetime: Lifetime) -> None:
    async def ask() -> tuple[datetime, datetime, bool]:
        same = in_sql(lifetime)
        asked = select(same.lapses_at, same.over_at, same.is_alive(NOW))
        try:
            lapses_at, over_at, is_alive = (await database.rows(asked))[0]
        finally:
            await database.close()
        return lapses_at, over_at, is_alive

    assert asyncio.run(ask()) == (lifetime.lapses_at, lifetime.over_at, lifetime.is_alive(NOW))
