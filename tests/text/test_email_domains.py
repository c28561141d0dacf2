"""The domains that addresses may have: public ones, and those that the operator allows."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from sqlalchemy import make_url, text

from app.database import migrations
from app.database.database import Database
from app.keys.services.signing_keys import SigningKeys
from app.main import create_app
from app.settings import Settings
from app.testing.clients import REGISTER, Api, Person
from app.testing.clock import FakeClock
from app.testing.commands import run
from app.testing.outbox import Outbox
from app.testing.settings import settings_of
from app.users.module import email_domains
from tests.accounts.test_email_changes import ASK
from tests.cli.test_serve import SECRET
from tests.people.test_administration import CREATE
from tests.support.servers import free_port, portico, serving

PASSWORD = "difference engine 1"
EMAILS = text("SELECT email FROM users ORDER BY email")
SPECIAL = ("corp.local", "mail.corp.local", "localhost", "printer.local", "corp.test", "x.invalid")
INNER = {"email_domains_allowed": "corp.local, Münchner-Büro.LOCAL"}


@pytest.fixture(scope="module")
async def inner(settings: Settings, clock: FakeClock, mailer: Outbox) -> AsyncIterator[FastAPI]:
    """A production server that allows domains of an internal network."""
    changes = settings_of(**INNER).email_domains_allowed
    changed = settings.model_copy(update={"email_domains_allowed": changes, "debug": False})
    app = create_app(changed, clock, mailer)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def employee(inner: FastAPI, api: Api) -> AsyncIterator[Api]:
    """A guest client of that server."""
    assert api.access_token is None
    # The previous test has deleted all keys.
    await inner.state.portico.services[SigningKeys].refresh()
    async with Api.of(inner) as guest:
        yield guest


@pytest.fixture
async def first_start(empty_url: str) -> dict[str, str]:
    """The settings for the first start of a server."""
    await asyncio.to_thread(migrations.upgrade, empty_url)
    return {
        "DATABASE_URL": make_url(empty_url).render_as_string(hide_password=False),
        "SECRET_KEY": SECRET,
        "FIRST_ADMIN_EMAIL": "root@corp.local",
        "FIRST_ADMIN_PASSWORD": PASSWORD,
    }


async def registered(client: Api, email: str) -> str:
    data = await client(REGISTER, input={"email": email, "password": PASSWORD})
    return data["register"]["__typename"]


async def test_special_use_domains_are_refused_unless_they_are_allowed(
    api: Api, employee: Api, db: Database
) -> None:
    outside = {domain: await registered(api, f"ada@{domain}") for domain in SPECIAL}
    inside = {domain: await registered(employee, f"eve@{domain}") for domain in SPECIAL}

    refused = dict.fromkeys(SPECIAL, "InvalidInput")
    # The first server has DEBUG on, the second one names a domain.
    assert outside == refused | {"corp.test": "SignedIn"}
    assert inside == refused | dict.fromkeys(("corp.local", "mail.corp.local"), "SignedIn")
    emails = [row[0] for row in await db.rows(EMAILS)]
    assert emails == ["ada@corp.test", "eve@corp.local", "eve@mail.corp.local"]


async def test_only_whole_labels_match_an_allowed_domain(employee: Api, db: Database) -> None:
    assert await registered(employee, "eve@notcorp.local") == "InvalidInput"
    assert await registered(employee, "eve@corp.local.local") == "InvalidInput"

    assert await db.rows(EMAILS) == []


async def test_public_domains_are_still_accepted(employee: Api) -> None:
    assert await registered(employee, "eve@example.com") == "SignedIn"


async def test_all_spellings_of_a_domain_are_the_same_domain(employee: Api, db: Database) -> None:
    assert await registered(employee, "Eve@xn--mnchner-bro-thbi.LOCAL") == "SignedIn"
    assert await registered(employee, "eve@MÜNCHNER-BÜRO.local") == "EmailTaken"

    assert [row[0] for row in await db.rows(EMAILS)] == ["eve@münchner-büro.local"]


async def test_changes_and_invitations_allow_the_same_domains(
    employee: Api, grace: Person, db: Database
) -> None:
    admin = await employee.login(grace)
    answers: list[tuple[str, str]] = []
    for email in ("new@corp.local", "new@printer.local"):
        change = {"newEmail": email, "password": grace.password}
        asked = (await admin(ASK, input=change))["requestEmailChange"]
        invited = (await admin(CREATE, input={"email": email}))["createUser"]
        answers.append((asked["__typename"], invited["__typename"]))

    assert answers == [("RequestAccepted", "UserChanged"), ("InvalidInput", "InvalidInput")]
    assert [row[0] for row in await db.rows(EMAILS)] == [grace.email, "new@corp.local"]


async def test_commands_allow_the_same_domains(
    api: Api, db: Database, tmp_path: Path, settings: Settings
) -> None:
    people = [{"email": f"ada@{domain}"} for domain in ("corp.local", "x.test", "printer.local")]
    file = tmp_path / "people.ndjson"
    file.write_text("\n".join(map(json.dumps, people)))
    assert settings.database_url is not None
    assert settings.secret_key is not None
    environment = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "EMAIL_DOMAINS_ALLOWED": "corp.local",
    }
    create = ("users", "create-admin")

    imported = await run("users", "import", str(file), "--skip-invalid", **environment)
    made = await run(*create, "root@corp.local", stdin=PASSWORD, **environment)
    refused = await run(*create, "root@printer.local", stdin=PASSWORD, **environment)

    message = "Email addresses of this domain are not accepted."
    assert imported.stdout.splitlines() == [
        f"line 2: email: {message}",
        f"line 3: email: {message}",
        "1 user added, 0 existed already, 2 lines skipped.",
    ]
    assert (made.exit_code, refused.exit_code) == (0, 1)
    emails = [row[0] for row in await db.rows(EMAILS)]
    assert (emails, api.errors) == (["ada@corp.local", "root@corp.local"], [])


def test_the_first_administrator_may_have_an_address_of_an_allowed_domain(
    tmp_path: Path, first_start: dict[str, str]
) -> None:
    with serving(tmp_path, EMAIL_DOMAINS_ALLOWED="corp.local", **first_start) as server:
        said = server.output

    assert "The first administrator: root@corp.local" in said


def test_the_first_administrator_cannot_have_an_address_of_another_domain(
    tmp_path: Path, first_start: dict[str, str]
) -> None:
    refused = portico("serve", "--port", str(free_port()), cwd=tmp_path, **first_start)

    assert refused.returncode == 1
    assert "FIRST_ADMIN_EMAIL or FIRST_ADMIN_PASSWORD is invalid" in refused.stderr


async def test_a_user_keeps_an_address_whose_domain_is_no_longer_allowed(
    api: Api, employee: Api
) -> None:
    person = await employee.register(Person("eve@corp.local", PASSWORD))

    assert await (await api.login(person))("{ me { email } }") == {"me": {"email": person.email}}


@pytest.mark.parametrize("domain", ["*.local", "@corp.local", ".local", "a b", "x@y", "http://x"])
def test_an_invalid_domain_is_refused(domain: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings_of(email_domains_allowed=f"corp.local,{domain}")

    (error,) = caught.value.errors(include_url=False)
    assert "must be domains with commas" in error["msg"]


def test_the_test_domain_is_allowed_only_with_debug() -> None:
    url: Any = "postgresql://db.example/portico"
    settled = settings_of(database_url=url, email_domains_allowed="Corp.LOCAL")
    debugged = settings_of(database_url=url, debug=True)

    assert email_domains(settled, settled) == ("corp.local",)
    assert email_domains(debugged, debugged) == ("test",)
