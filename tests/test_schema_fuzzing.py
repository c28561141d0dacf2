"""No operation that the schema allows is an internal error, for any caller."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis_graphql import from_schema
from hypothesis_graphql.nodes import String

from app.graphql.schema import print_sdl
from app.main import default_schema
from app.testing.clients import Api, Person

SDL = print_sdl(default_schema())
MOMENTS = st.sampled_from(["2026-01-31T12:00:00Z", "0001-01-01T00:00:00+14:00", "nonsense"])
# Objects have tests of their own, byte by byte.
VALUES = st.sampled_from(["", "x", "{}"]).map(String)
OPERATIONS = from_schema(SDL, custom_scalars={"DateTime": MOMENTS.map(String), "JSON": VALUES})


@pytest.mark.parametrize("role", ["guest", "member", "administrator"])
@hypothesis.settings(
    max_examples=40,
    deadline=None,
    # All examples of a role share a database on purpose, as the requests of one client.
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.filter_too_much,
    ],
)
@hypothesis.given(text=OPERATIONS)
async def test_no_valid_operation_is_an_internal_error(
    api: Api, ada: Person, grace: Person, role: str, text: str
) -> None:
    people = {"member": ada, "administrator": grace}
    client = await api.login(people[role]) if role in people else api

    await client(text)

    assert client.last is not None
    assert client.last.status_code < 500
    assert "INTERNAL_SERVER_ERROR" not in codes(client.errors)


def codes(errors: list[dict[str, Any]]) -> set[str]:
    return {error["extensions"]["code"] for error in errors}
