"""Random queries over HTTP, of real users: the same answers with and without plans."""

from contextlib import AsyncExitStack
from random import Random
from typing import Any

from fastapi import FastAPI

from app.engine.engine import core_schema
from app.main import create_app
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from tests.engine.answers import by_path, order_of_keys
from tests.engine.random_documents import EXAMPLES, random_document


async def test_random_queries_have_the_same_answers_with_and_without_plans(
    app: FastAPI, settings: Settings, clock: FakeClock, api: Api, ada: Person, grace: Person
) -> None:
    member, administrator = await api.login(ada), await api.login(grace)
    schema = core_schema(app.state.engine.schema)
    answered = 0
    async with AsyncExitStack() as stack:
        both = [await client_of(stack, settings, clock, plans) for plans in ("none", "all")]
        for seed in range(EXAMPLES):
            sample = random_document(schema, Random(seed), "query")  # noqa: S311
            if sample is None:
                continue
            token = (None, member.access_token, administrator.access_token)[seed % 3]
            stock, planned = [await sent(each, token, sample) for each in both]
            assert planned == stock
            answered += "data" in stock[1]

    # The others are refused, since they exceed a limit.
    assert answered > EXAMPLES // 4


async def client_of(stack: AsyncExitStack, settings: Settings, clock: FakeClock, plans: str) -> Api:
    app = create_app(settings.model_copy(update={"execution_plans": plans}), clock)
    await stack.enter_async_context(app.router.lifespan_context(app))
    return await stack.enter_async_context(Api.of(app))


async def sent(api: Api, token: str | None, sample: Any) -> tuple[int, Any, Any]:
    """Returns the status, the answer without the id of the request, and the order of its keys."""
    client = api.with_bearer(token) if token else api
    await client(sample.text, **sample.variables)
    assert client.last is not None
    answer = client.last.json()
    for error in answer.get("errors", []):
        error["extensions"].pop("requestId", None)
    found = by_path(answer) if "data" in answer else answer
    return client.last.status_code, found, order_of_keys(answer.get("data"))
