"""A person with a second factor."""

import pytest

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from tests.support.authenticator import Enrolled, enroll, verify


@pytest.fixture
async def enrolled(api: Api, db: Database, ada: Person, clock: FakeClock) -> Enrolled:
    """A member with an authenticator app."""
    return await enroll(api, db, ada, clock)


@pytest.fixture
async def owner(api: Api, db: Database, ada: Person) -> Api:
    """A session of Ada, who has proved her address and has no factor."""
    await verify(db, ada)
    return await api.login(ada)
