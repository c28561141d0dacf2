"""What a form needs to know before a user signs in."""

from importlib.metadata import version
from typing import Any

import pytest

from app.main import create_app
from app.settings import Settings
from app.testing.clients import Api
from app.testing.outbox import Outbox

SERVER = """
{
  server { version emailVerification passwordMinLength passwordMaxLength signInMethods }
}
"""


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({}, {"emailVerification": "OFF", "passwordMinLength": 8}),
        ({"email_verification": "required"}, {"emailVerification": "REQUIRED"}),
        ({"password_min_length": 15}, {"passwordMinLength": 15}),
    ],
)
async def test_a_guest_can_read_what_forms_need(
    settings: Settings, outbox: Outbox, changes: dict[str, Any], facts: dict[str, Any]
) -> None:
    app = create_app(settings.model_copy(update=changes), mailer=outbox)

    async with app.router.lifespan_context(app), Api.of(app) as guest:
        # Twice, so that a compiled plan answers too.
        answers = [await guest(SERVER) for _ in range(3)]

    server = {
        "version": version("portico"),
        "emailVerification": "OFF",
        "passwordMinLength": 8,
        "passwordMaxLength": 256,
        "signInMethods": ["PASSWORD", "PASSKEY"],
    }
    assert answers == [{"server": server | facts}] * 3


async def test_the_password_limits_are_those_of_register(api: Api) -> None:
    server = (await api(SERVER))["server"]
    shortest, longest = server["passwordMinLength"], server["passwordMaxLength"]

    assert await codes_for(api, "x" * (shortest - 1)) == ["TOO_SHORT"]
    assert await codes_for(api, "x" * (longest + 1)) == ["TOO_LONG"]
    assert "TOO_SHORT" not in await codes_for(api, "x" * shortest)


async def codes_for(api: Api, password: str) -> list[str]:
    """Returns the codes of the issues that `register` returns for a password."""
    answer = await api(
        "mutation Register($input: RegisterInput!) { register(input: $input) "
        "{ ... on InvalidInput { issues { code } } } }",
        input={"email": "ada@example.com", "password": password},
    )
    return [issue["code"] for issue in answer["register"]["issues"]]
