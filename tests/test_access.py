"""Calls every root field as guest, member, administrator, in stale sessions, without a factor."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from graphql import FieldDefinitionNode, ObjectTypeDefinitionNode, parse
from sqlalchemy import text

from app.database.database import Database
from app.graphql.schema import print_sdl
from app.keys.services.signing_keys import SigningKeys
from app.main import create_app, default_schema
from app.settings import Settings
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from app.testing.outbox import Outbox
from tests.sessions.test_refreshing import REFRESH
from tests.support.authenticator import BEGIN, enroll, verify
from tests.support.operations import smallest

ROOTS = {"Query": "query", "Mutation": "mutation"}
# What a thief of a session does to keep an account, or to hide, and what reaches others.
SENSITIVE = {
    *("requestEmailChange", "changePassword", "deleteAccount", "exportPersonalData"),
    *("beginPasskeyRegistration", "beginTotpEnrollment", "renewRecoveryCodes", "removeFactor"),
    "renamePasskey",
    *(
        "createUser",
        "setUserRole",
        "endUserSessions",
        "resetUserFactors",
        "deleteUser",
        "suspendUser",
        "reinstateUser",
    ),
    "exportUserData",
}
ENROLL_FIRST = "This server requires a second factor: enroll one, or register a passkey."


@dataclass(frozen=True, slots=True)
class Root:
    """A root field and its access, read from the SDL as a client would."""

    name: str
    operation: str
    level: str
    # In seconds.
    fresh_within: int | None
    without_factor: bool

    def __str__(self) -> str:
        return self.name

    async def ask(self, client: Api) -> Any:
        asked = smallest(self.operation, self.name)
        data = await client(asked.document, **asked.variables)
        return data and data[self.name]


def roots() -> Iterator[Root]:
    for definition in parse(print_sdl(default_schema())).definitions:
        if isinstance(definition, ObjectTypeDefinitionNode):
            operation = ROOTS.get(definition.name.value)
            for field in definition.fields or () if operation else ():
                yield root_of(operation or "", field)


def root_of(operation: str, field: FieldDefinitionNode) -> Root:
    access: Any = next(node for node in field.directives or () if node.name.value == "access")
    given = {each.name.value: each.value.value for each in access.arguments}
    seconds = given.get("freshWithin")
    return Root(
        field.name.value,
        operation,
        given["level"],
        int(seconds) if seconds else None,
        bool(given.get("withoutFactor")),
    )


FIELDS = list(roots())
FRESH = [each for each in FIELDS if each.fresh_within is not None]
GUARDED = [each for each in FIELDS if each.level != "GUEST" and not each.without_factor]
# The setting, and the role of somebody of whom it requires a factor.
REQUIRED_OF = [("admins", "ADMIN"), ("everybody", "ADMIN"), ("everybody", "MEMBER")]


@pytest.mark.parametrize("root", FIELDS, ids=str)
async def test_a_guest_can_call_fields_for_guests_only(
    api: Api, ada: Person, db: Database, root: Root
) -> None:
    before = await contents(db)

    await root.ask(api)

    expected = None if root.level == "GUEST" else "UNAUTHENTICATED"
    assert (api.last_code, ada.email) == (expected, "ada@example.com")
    assert root.level == "GUEST" or await contents(db) == before


@pytest.mark.parametrize("root", FIELDS, ids=str)
async def test_a_member_can_call_fields_for_guests_and_members_only(
    api: Api, ada: Person, db: Database, clock: FakeClock, root: Root
) -> None:
    # With a factor, without which there are no recovery codes to renew.
    member = (await enroll(api, db, ada, clock)).session
    before = await contents(db)

    await root.ask(member)

    assert member.last_code == ("FORBIDDEN" if root.level == "ADMIN" else None)
    assert root.level != "ADMIN" or await contents(db) == before


@pytest.mark.parametrize("root", FIELDS, ids=str)
async def test_an_administrator_can_call_every_field(
    api: Api, grace: Person, db: Database, clock: FakeClock, root: Root
) -> None:
    admin = (await enroll(api, db, grace, clock)).session

    await root.ask(admin)

    assert admin.last_code is None


def test_sensitive_fields_are_printed_with_their_freshness() -> None:
    # Registering a passkey takes as long as its ceremony.
    expected = {**dict.fromkeys(SENSITIVE, 600), "finishPasskeyRegistration": 900}
    assert {each.name: each.fresh_within for each in FRESH} == expected


def test_what_a_user_without_a_factor_may_do_is_printed() -> None:
    exempt = {each.name for each in FIELDS if each.without_factor}

    expected = {
        "beginPasskeyRegistration",
        "beginPasskeyStepUp",
        "beginTotpEnrollment",
        "confirmTotpEnrollment",
        "finishPasskeyRegistration",
        "logoutEverywhere",
        "stepUp",
    }
    assert exempt == expected


@pytest.mark.parametrize("root", FRESH, ids=str)
async def test_a_stale_session_has_to_step_up_and_changes_nothing(
    api: Api, grace: Person, db: Database, clock: FakeClock, root: Root
) -> None:
    admin = await api.login(grace)
    clock.pass_(seconds=root.fresh_within or 0)
    # An access token may be as old as a session that has just become stale.
    admin = api.with_tokens((await api(REFRESH, token=admin.refresh_token))["refreshSession"])
    before = await contents(db)

    assert await root.ask(admin) is None

    assert [each["extensions"] for each in admin.errors] == [
        {"code": "STEP_UP_REQUIRED", "maxAge": root.fresh_within, "methods": ["PASSWORD"]}
    ]
    assert await contents(db) == before


@pytest.mark.parametrize("root", FRESH, ids=str)
async def test_a_fresh_session_does_not_have_to_step_up(
    api: Api, grace: Person, db: Database, clock: FakeClock, root: Root
) -> None:
    admin = (await enroll(api, db, grace, clock)).session
    clock.pass_(seconds=(root.fresh_within or 0) - 10)

    await root.ask(admin)

    assert admin.last_code is None


@pytest.mark.parametrize("root", [each for each in FIELDS if each not in FRESH], ids=str)
async def test_other_fields_do_not_ask_a_stale_session_for_more(
    api: Api, grace: Person, clock: FakeClock, root: Root
) -> None:
    admin = await api.login(grace)
    clock.pass_(minutes=14)

    await root.ask(admin)

    assert admin.last_code is None


async def test_a_user_with_a_factor_has_to_step_up_with_it(
    api: Api, db: Database, ada: Person, clock: FakeClock
) -> None:
    enrolled = await enroll(api, db, ada, clock)
    clock.pass_(minutes=10)

    assert await enrolled.session(BEGIN) == {"beginTotpEnrollment": None}

    assert enrolled.session.errors[0]["extensions"]["methods"] == ["TOTP"]


async def test_a_user_without_a_password_is_not_asked_for_one(
    api: Api, db: Database, ada: Person, clock: FakeClock
) -> None:
    laptop = await api.login(ada)
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET password_hash = NULL"))
    clock.pass_(minutes=10)

    assert await laptop(BEGIN) == {"beginTotpEnrollment": None}

    assert laptop.errors[0]["extensions"]["methods"] == []


@pytest.fixture(scope="module")
async def servers(
    settings: Settings, clock: FakeClock, mailer: Outbox
) -> AsyncIterator[dict[str, FastAPI]]:
    """A server for each setting of SECOND_FACTOR_REQUIRED, on the same database."""
    async with AsyncExitStack() as stack:
        servers: dict[str, FastAPI] = {}
        for required in ("admins", "everybody"):
            changed = settings.model_copy(update={"second_factor_required": required})
            app = servers[required] = create_app(changed, clock, mailer)
            await stack.enter_async_context(app.router.lifespan_context(app))
        yield servers


class TestARequiredFactor:
    """SECOND_FACTOR_REQUIRED: who has no factor may enroll one, and little else."""

    @pytest.fixture
    async def guests(
        self, servers: dict[str, FastAPI], api: Api, ada: Person, grace: Person
    ) -> AsyncIterator[dict[str, Api]]:
        """A guest of each server. Ada and Grace have accounts, and no factors."""
        assert (api.access_token, ada.name, grace.name) == (None, "Ada Lovelace", "Grace Hopper")
        async with AsyncExitStack() as stack:
            guests: dict[str, Api] = {}
            for required, app in servers.items():
                # The previous test has deleted all keys.
                await app.state.portico.services[SigningKeys].refresh()
                guests[required] = await stack.enter_async_context(Api.of(app))
            yield guests

    @pytest.mark.parametrize(("required", "level"), REQUIRED_OF)
    async def test_every_other_field_is_refused_and_changes_nothing(
        self, guests: dict[str, Api], grace: Person, db: Database, required: str, level: str
    ) -> None:
        async with db.begin() as session:
            role = text("UPDATE users SET role = :level WHERE email = :email")
            await session.execute(role, {"level": level, "email": grace.email})
        client = await guests[required].login(grace)
        before = await contents(db)

        for root in GUARDED:
            is_admitted = root.level in {"MEMBER", level}
            expected = "SECOND_FACTOR_REQUIRED" if is_admitted else "FORBIDDEN"
            assert (root.name, await root.ask(client)) == (root.name, None)
            assert (root.name, client.last_code) == (root.name, expected)
            assert not is_admitted or client.errors[0]["message"] == ENROLL_FIRST

        assert await contents(db) == before

    @pytest.mark.parametrize("root", [each for each in FIELDS if each not in GUARDED], ids=str)
    async def test_fields_for_guests_and_for_enrolling_are_not_refused(
        self, guests: dict[str, Api], grace: Person, db: Database, root: Root
    ) -> None:
        await verify(db, grace)
        client = await guests["everybody"].login(grace)

        await root.ask(client)

        assert client.last_code is None

    async def test_a_member_does_not_have_to_enroll_if_administrators_have_to(
        self, guests: dict[str, Api], ada: Person
    ) -> None:
        for root in GUARDED:
            member = await guests["admins"].login(ada)
            await root.ask(member)
            assert (root.name, member.last_code) != (root.name, "SECOND_FACTOR_REQUIRED")

    async def test_a_member_who_becomes_an_administrator_has_to_enroll_at_once(
        self, guests: dict[str, Api], ada: Person, db: Database
    ) -> None:
        member = await guests["admins"].login(ada)
        profile = 'mutation { updateProfile(input: {displayName: "Ada"}) { __typename } }'
        assert await member(profile) == {"updateProfile": {"__typename": "UserChanged"}}
        async with db.begin() as session:
            await session.execute(text("UPDATE users SET role = 'ADMIN'"))

        assert await member(profile) == {"updateProfile": None}

        assert member.last_code == "SECOND_FACTOR_REQUIRED"

    @pytest.mark.parametrize("required", ["admins", "everybody"])
    async def test_who_has_enrolled_may_do_everything(
        self,
        guests: dict[str, Api],
        grace: Person,
        db: Database,
        clock: FakeClock,
        required: str,
    ) -> None:
        enrolled = await enroll(guests[required], db, grace, clock)

        for client in (enrolled.session, await enrolled.sign_in(guests[required])):
            assert await client("{ users { totalCount } }") == {"users": {"totalCount": 2}}

    async def test_who_has_to_enroll_sees_who_they_are_and_what_is_required(
        self, guests: dict[str, Api], ada: Person
    ) -> None:
        member = await guests["everybody"].login(ada)

        assert await member(ME) == {"me": {"email": ada.email}}
        asked = "{ server { secondFactorRequired } }"
        facts = {name: await guest(asked) for name, guest in guests.items()}
        assert facts == {
            "admins": {"server": {"secondFactorRequired": "ADMINS"}},
            "everybody": {"server": {"secondFactorRequired": "EVERYBODY"}},
        }

    async def test_the_second_of_two_fields_is_refused_too(
        self, guests: dict[str, Api], ada: Person
    ) -> None:
        member = await guests["everybody"].login(ada)

        data = await member('{ me { email } node(id: "x") { id } }')

        assert data == {"me": {"email": ada.email}, "node": None}
        assert member.last_code == "SECOND_FACTOR_REQUIRED"
