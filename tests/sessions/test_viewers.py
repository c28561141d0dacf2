"""The viewer of a request: how many statements it takes, and how requests share them."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any, ClassVar

from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database, Query
from app.security.access_tokens import Claims
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.factor_policy import FactorPolicy, FactorsRequired
from app.sessions.services.viewers import Viewers
from app.testing.clients import ME, Api, Person
from tests.sessions.test_sessions import LOGOUT


def fetched(app: FastAPI) -> int:
    """Returns how many statements have been sent to find viewers."""
    return app.state.portico.services[Database].fetched_statements


async def test_one_request_takes_one_statement(api: Api, ada: Person, app: FastAPI) -> None:
    laptop = await api.login(ada)
    await laptop(ME)

    before = fetched(app)
    assert await laptop(ME) == {"me": {"email": ada.email}}

    assert fetched(app) - before == 1


async def test_requests_that_wait_together_share_a_statement(
    api: Api, ada: Person, grace: Person, app: FastAPI
) -> None:
    clients = [await api.login(person) for person in (ada, grace)] * 16
    await asyncio.gather(*(client(ME) for client in clients))

    before = fetched(app)
    answers = await asyncio.gather(*(client(ME) for client in clients))

    assert answers == [{"me": {"email": ada.email}}, {"me": {"email": grace.email}}] * 16
    assert fetched(app) - before <= 8


async def test_a_guest_takes_no_statement(api: Api, app: FastAPI) -> None:
    before = fetched(app)
    assert await api(ME) == {"me": None}

    assert fetched(app) == before


async def test_a_disconnected_client_does_not_fail_requests_in_the_same_batch(
    api: Api, ada: Person
) -> None:
    laptop = await api.login(ada)
    waiting = [asyncio.create_task(Api(api.http, laptop.access_token)(ME)) for _ in range(6)]
    await asyncio.sleep(0)

    waiting[0].cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [{"me": {"email": ada.email}}] * 5


async def test_requests_during_a_sign_out_are_answered_before_it_or_refused_after_it(
    api: Api, ada: Person
) -> None:
    laptop = await api.login(ada)
    asking = [Api(api.http, laptop.access_token) for _ in range(20)]

    await asyncio.gather(*(client(ME) for client in asking), laptop(LOGOUT))

    assert await asyncio.gather(*(client(ME) for client in asking)) == [{"me": None}] * 20


async def test_a_locked_session_does_not_delay_requests(
    api: Api, ada: Person, grace: Person, db: Database
) -> None:
    laptop, other = await api.login(ada), await api.login(grace)

    async with db.begin() as session:
        await session.execute(text("SELECT 1 FROM sessions FOR UPDATE"))
        async with asyncio.timeout(5):
            answers = await asyncio.gather(laptop(ME), other(ME))

    assert answers == [{"me": {"email": ada.email}}, {"me": {"email": grace.email}}]


async def test_dead_connections_in_the_pool_fail_no_request(
    api: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)
    await asyncio.gather(*(Api(api.http, laptop.access_token)(ME) for _ in range(20)))
    await db.rows(
        text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )

    answers = [await laptop(ME) for _ in range(5)]
    await db.close()

    assert answers == [{"me": {"email": ada.email}}] * 5


async def test_a_hanging_statement_delays_the_next_batch_only_briefly() -> None:
    hanging = asyncio.Event()

    class Stand:
        asked: ClassVar[list[uuid.UUID]] = []

        async def fetch_now(
            self, _query: Query, ids: list[uuid.UUID], keys: list[str], **times: datetime
        ) -> list[Any]:
            assert times.keys() == {"now", "touch_before"}
            assert keys == ["none"]
            self.asked.extend(ids)
            if len(self.asked) == 1:
                await hanging.wait()
            return []

    stand: Any = Stand()
    policies = (AccountPolicy(verified_only=False), FactorPolicy(FactorsRequired.OFF))
    viewers = Viewers(stand, *policies, lambda: datetime.now(UTC))
    first, second = (Claims(uuid.uuid4(), uuid.UUID(int=number), 0, 0, "none") for number in (1, 2))
    hung = asyncio.create_task(viewers.find(first))
    await asyncio.sleep(0.01)

    async with asyncio.timeout(5):
        assert await viewers.find(second) is None

    assert (stand.asked, hung.done()) == ([first.session_id, second.session_id], False)
    hanging.set()
    assert await hung is None
