"""Which new passwords are accepted: every way to set one has the same rules."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.testing.clients import REGISTER, Api, Person
from app.testing.outbox import Outbox
from tests.accounts.test_breached_passwords import guest_of
from tests.accounts.test_password_changes import REQUEST
from tests.support.servers import free_port, portico

ADA = Person("ada.lovelace@example.com", "difference engine 1", "Countess of Somewhere")
CHOOSE = """
mutation Choose($input: %sInput!) {
  result: %s(input: $input) { __typename ... on InvalidInput { issues { message } } }
}
"""
REFUSED = "This password is too easy to guess. Use a few unrelated words."


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways to set a password. Each returns the issue, or the type of the result."""

    api: Api
    outbox: Outbox
    deliver: Callable[[], Awaitable[None]]
    folder: Path
    environment: dict[str, str]

    async def register(self, password: str, person: Person = ADA) -> str:
        data = await self.api(REGISTER, input=person.registration | {"password": password})
        return outcome(data["register"])

    async def reset(self, password: str, person: Person = ADA) -> str:
        await self.api.register(person)
        await self.api(REQUEST, email=person.email)
        await self.deliver()
        token = self.outbox.token_for(person.email)
        query = CHOOSE % ("ResetPassword", "resetPassword")
        data = await self.api(query, input={"token": token, "newPassword": password})
        return outcome(data["result"])

    async def change(self, password: str, person: Person = ADA) -> str:
        client = await self.api.login(await self.api.register(person))
        given = {"currentPassword": person.password, "newPassword": password}
        data = await client(CHOOSE % ("ChangePassword", "changePassword"), input=given)
        return outcome(data["result"])

    async def first_admin(self, password: str) -> str:
        admin = {"FIRST_ADMIN_EMAIL": ADA.email, "FIRST_ADMIN_PASSWORD": password}
        return await self.command("serve", "--port", str(free_port()), **admin)

    async def create_admin(self, password: str) -> str:
        return await self.command("users", "create-admin", ADA.email, stdin=password)

    async def command(self, *arguments: str, stdin: str = "", **settings: str) -> str:
        environment = self.environment | settings
        ended = await asyncio.to_thread(
            portico, *arguments, cwd=self.folder, stdin=stdin, **environment
        )
        text = " ".join(ended.stderr.split())
        return REFUSED if REFUSED in text else text


def outcome(result: dict[str, Any]) -> str:
    return " ".join(issue["message"] for issue in result.get("issues", ())) or result["__typename"]


@pytest.fixture
def ways(
    api: Api,
    outbox: Outbox,
    deliver: Callable[[], Awaitable[None]],
    tmp_path: Path,
    environment: dict[str, str],
) -> Ways:
    return Ways(api, outbox, deliver, tmp_path, environment)


@pytest.mark.parametrize(
    "way", [Ways.register, Ways.reset, Ways.change, Ways.first_admin, Ways.create_admin]
)
@pytest.mark.parametrize("password", ["portico123", "Lovelace1"])
async def test_every_way_to_set_a_password_refuses_a_guessable_one(
    ways: Ways, way: Callable[[Ways, str], Awaitable[str]], password: str
) -> None:
    assert await way(ways, password) == REFUSED


@pytest.mark.parametrize("way", [Ways.register, Ways.reset, Ways.change])
@pytest.mark.parametrize("password", ["Lovelace1", "adaLovelace!", "10121815lovelace"])
async def test_the_name_of_the_user_adds_nothing_to_a_password(
    ways: Ways, way: Callable[[Ways, str, Person], Awaitable[str]], password: str
) -> None:
    person = Person("countess@example.com", "difference engine 1", "Ada Lovelace")

    assert await way(ways, password, person) == REFUSED


async def test_the_name_of_another_user_counts_as_an_ordinary_word(ways: Ways) -> None:
    person = Person("countess@example.com", "difference engine 1", "Grace Hopper")

    assert await ways.register("10121815lovelace", person) == "SignedIn"


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    "password",
    [
        "acme-gadgets1",
        "login.acme-gadgets.example",
        "Gadgets10121815",
        "Blumenladen7!",
        "nordlicht2024",
        "nordlichtblumenladen",
    ],
)
async def test_the_names_of_the_service_add_nothing_to_a_password(
    settings: Settings, password: str
) -> None:
    names = {
        "public_url": "https://login.acme-gadgets.example/api",
        "frontend_url": "https://www.blumenladen.example",
        "mail_from": "Nordlicht Team <team@mail.example>",
    }
    async with guest_of(settings, **names) as guest:
        data = await guest(REGISTER, input=ADA.registration | {"password": password})

    assert outcome(data["register"]) == REFUSED
