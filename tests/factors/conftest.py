"""A person with a second factor."""

import pytest

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from tests.support.authenticator import Enrolled, enroll


@pytest.fixture
async def enrolled(api: Api, db: Database, ada: Person, clock: FakeClock) -> Enrolled:
    """A member with an authenticator app."""
    return await enroll(api, db, ada, clock)
