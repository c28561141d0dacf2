"""When a session is over: SQL and Python agree on every session."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import TIMESTAMP, literal, select

from app.composition import build
from app.database.database import Database
from app.sessions.lifetime import Lifetime, SqlLifetime
from app.settings import Settings

NOW = datetime(2027, 1, 1, tzinfo=UTC)
TIME = TIMESTAMP(timezone=True)
# Within microseconds of now, so that equal times occur.
times = st.integers(-2, 2).map(lambda number: NOW + timedelta(microseconds=number))
lifetimes = st.builds(Lifetime, st.none() | times, times, times)


def in_sql(lifetime: Lifetime) -> SqlLifetime:
    return SqlLifetime(
        literal(lifetime.ended_at, TIME),
        literal(lifetime.expires_at, TIME),
        literal(lifetime.ends_by, TIME),
    )


@pytest.fixture
def database(settings: Settings) -> Database:
    """A database without a connection yet: each example has its own event loop."""
    return build(settings).services[Database]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lifetime=lifetimes)
def test_sql_and_python_agree(database: Database, lifetime: Lifetime) -> None:
    async def ask() -> tuple[datetime, datetime, bool]:
        same = in_sql(lifetime)
        asked = select(same.effective_expiry, same.over_at, same.is_active(NOW))
        try:
            effective_expiry, over_at, is_active = (await database.rows(asked))[0]
        finally:
            await database.close()
        return effective_expiry, over_at, is_active

    assert asyncio.run(ask()) == (
        lifetime.effective_expiry,
        lifetime.over_at,
        lifetime.is_active(NOW),
    )
