"""What ends when trust in an account changes."""

import ast
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.accounts.services.trust import ALL_LINKS, OTHER_LINKS, Change, Effects
from app.database.database import Database
from app.mail.models import TokenPurpose
from app.testing.clients import LOGIN, ME, REGISTER, Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from app.users.models import User
from tests.accounts.test_email_changes import ask, confirm
from tests.accounts.test_email_verification import verify
from tests.accounts.test_password_changes import AGAIN, NEW, REQUEST, change, reset
from tests.people.test_administration import CREATE, END, REINSTATE, SUSPEND, mutate
from tests.sessions.test_refreshing import reason

ROOT = Path(__file__).parents[2]
Deliver = Callable[[], Awaitable[None]]
COUNTESS = "countess@example.com"
THIEF = "thief@example.com"


async def login(client: Api, person: Person) -> str:
    data = await client(LOGIN, input=person.credentials)
    return data["login"]["__typename"]


@pytest.fixture
async def laptop(api: Api, ada: Person) -> Api:
    return await api.login(ada)


@pytest.fixture
async def verified(api: Api, db: Database, ada: Person) -> Person:
    """A member whose address was verified long ago."""
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET email_verified = true"))
    assert api.access_token is None
    return ada


class TestFirstProofOfAnAddress:
    """Ada's account is one that a stranger registered with her address."""

    @pytest.fixture
    async def link(self, api: Api, ada: Person, outbox: Outbox, deliver: Deliver) -> str:
        await api(AGAIN, email=ada.email)
        await deliver()
        return outbox.token_for(ada.email)

    async def test_ends_the_session_and_the_password_of_the_stranger(
        self, api: Api, ada: Person, laptop: Api, link: str
    ) -> None:
        assert await verify(api, link) == "SignedIn"

        assert (await laptop(ME), laptop.last_code) == ({"me": None}, "UNAUTHENTICATED")
        assert await reason(api, laptop.refresh_token) == "PASSWORD_CHANGED"
        assert await login(api, ada) == "InvalidCredentials"

    async def test_ends_every_link_of_the_stranger(
        self, api: Api, ada: Person, laptop: Api, link: str, outbox: Outbox, deliver: Deliver
    ) -> None:
        assert await ask(laptop, THIEF, ada.password) == "RequestAccepted"
        await deliver()

        assert await verify(api, link) == "SignedIn"

        assert await confirm(api, outbox.token_for(THIEF)) == "TokenInvalid"

    async def test_sends_the_owner_a_link_to_choose_a_password(
        self, api: Api, ada: Person, link: str, outbox: Outbox, deliver: Deliver
    ) -> None:
        await verify(api, link)
        await deliver()

        assert outbox.subjects[-1] == (ada.email, "Choose a password for your account")
        assert await reset(api, outbox.token_for(ada.email)) == "UserChanged"
        assert await login(api, replace(ada, password=NEW)) == "SignedIn"

    async def test_ends_nothing_if_the_request_has_a_session_of_the_account(
        self, api: Api, ada: Person, laptop: Api, link: str
    ) -> None:
        phone = await api.login(ada)

        assert await verify(laptop, link) == "SignedIn"

        assert await phone(ME) == {"me": {"email": ada.email}}
        assert await login(api, ada) == "SignedIn"

    @pytest.mark.parametrize("brought", ["of another account", "that has ended"])
    async def test_a_session_that_is_ended_or_of_another_account_does_not_prevent_that(
        self, api: Api, ada: Person, grace: Person, laptop: Api, link: str, brought: str
    ) -> None:
        other = await api.login(grace)
        if brought == "that has ended":
            other = await api.login(ada)
            await other("mutation { logout { sessionsEnded } }")

        assert await verify(other, link) == "SignedIn"

        assert await laptop(ME) == {"me": None}
        assert await login(api, ada) == "InvalidCredentials"

    async def test_the_second_time_ends_nothing(
        self, api: Api, ada: Person, db: Database, laptop: Api, link: str
    ) -> None:
        async with db.begin() as session:
            await session.execute(text("UPDATE users SET email_verified = true"))

        assert await verify(api, link) == "SignedIn"

        assert await laptop(ME) == {"me": {"email": ada.email}}
        assert await login(api, ada) == "SignedIn"


class TestAdministration:
    async def test_a_suspension_ends_the_link_of_a_thief_for_good(
        self, api: Api, ada: Person, grace: Person, laptop: Api, outbox: Outbox, deliver: Deliver
    ) -> None:
        admin = await api.login(grace)
        assert await ask(laptop, THIEF, ada.password) == "RequestAccepted"
        await deliver()

        await mutate(admin, SUSPEND, userId=ada.id, reason="stolen")
        await mutate(admin, REINSTATE, userId=ada.id)

        assert await confirm(api, outbox.token_for(THIEF)) == "TokenInvalid"
        assert await login(api, ada) == "SignedIn"

    async def test_ending_the_sessions_of_a_user_leaves_links_and_the_password(
        self, api: Api, ada: Person, grace: Person, laptop: Api, outbox: Outbox, deliver: Deliver
    ) -> None:
        await api(REQUEST, email=ada.email)
        await deliver()

        await mutate(await api.login(grace), END, userId=ada.id)

        assert await reason(api, laptop.refresh_token) == "REVOKED"
        assert await login(api, ada) == "SignedIn"
        assert await reset(api, outbox.token_for(ada.email)) == "UserChanged"


class TestChangedPassword:
    async def test_ends_the_tokens_that_the_session_had_and_copies_of_them(
        self, api: Api, ada: Person, laptop: Api
    ) -> None:
        thief = replace(laptop)

        assert await change(laptop, ada.password, NEW) == "PasswordChanged"

        assert (await thief(ME), thief.last_code) == ({"me": None}, "UNAUTHENTICATED")
        assert await reason(api, thief.refresh_token) == "PASSWORD_CHANGED"

    async def test_the_session_continues_with_the_returned_tokens(
        self, api: Api, ada: Person, laptop: Api
    ) -> None:
        before = laptop.session_id

        assert await change(laptop, ada.password, NEW) == "PasswordChanged"

        current = "{ me { email sessions { nodes { id isCurrent } } } }"
        assert await laptop(current) == {
            "me": {"email": ada.email, "sessions": {"nodes": [{"id": before, "isCurrent": True}]}}
        }
        assert laptop.refresh_token
        renewed = await api(REFRESH, token=laptop.refresh_token)
        assert renewed["refreshSession"]["session"]["id"] == before

    async def test_an_old_refresh_token_does_not_end_the_session(
        self, api: Api, ada: Person, laptop: Api
    ) -> None:
        thief = replace(laptop)
        await change(laptop, ada.password, NEW)

        for _ in range(3):
            assert await reason(api, thief.refresh_token) == "PASSWORD_CHANGED"

        assert await laptop(ME) == {"me": {"email": ada.email}}

    async def test_a_change_whose_session_ends_meanwhile_is_refused(
        self, api: Api, ada: Person, laptop: Api, db: Database
    ) -> None:
        mutation = (
            "mutation { logoutEverywhere { sessionsEnded }"
            ' changePassword(input: {currentPassword: "x", newPassword: "y"}) { __typename } }'
        )

        data = await laptop(mutation)

        assert data == {"logoutEverywhere": {"sessionsEnded": 2}, "changePassword": None}
        assert await login(api, ada) == "SignedIn"
        assert await db.rows(text("SELECT 1 FROM budgets WHERE cardinality(spent) > 1")) == []


class TestUndoneChangeOfAddress:
    @pytest.fixture
    async def undo(
        self, api: Api, verified: Person, outbox: Outbox, deliver: Deliver
    ) -> tuple[Api, str]:
        """A thief with the password has changed the address to one of theirs."""
        thief = await api.login(verified)
        await ask(thief, THIEF, verified.password)
        await deliver()
        assert await confirm(api, outbox.token_for(THIEF)) == "UserChanged"
        await deliver()
        return thief, outbox.token_for(verified.email)

    async def test_restores_the_address_and_ends_what_the_change_started(
        self, api: Api, verified: Person, undo: tuple[Api, str], outbox: Outbox, deliver: Deliver
    ) -> None:
        thief, link = undo

        assert await confirm(api, link) == "UserChanged"
        await deliver()

        assert await thief(ME) == {"me": None}
        assert await login(api, verified) == "InvalidCredentials"
        assert await login(api, replace(verified, email=THIEF)) == "InvalidCredentials"
        assert outbox.subjects[-2:] == [
            (verified.email, "Choose a password for your account"),
            (THIEF, "The change of your email address was undone"),
        ]
        assert await reset(api, outbox.token_for(verified.email)) == "UserChanged"
        assert await login(api, replace(verified, password=NEW)) == "SignedIn"

    async def test_stays_possible_after_whatever_the_thief_does(
        self, api: Api, undo: tuple[Api, str], outbox: Outbox, deliver: Deliver
    ) -> None:
        thief, link = undo
        await api(REQUEST, email=THIEF)
        await deliver()
        assert await reset(api, outbox.token_for(THIEF)) == "UserChanged"
        thief = await api.login(Person(THIEF, NEW))
        assert await change(thief, NEW, "another fine password 7") == "PasswordChanged"
        await ask(thief, COUNTESS, "another fine password 7")
        await deliver()
        assert await confirm(api, outbox.token_for(COUNTESS)) == "UserChanged"
        await deliver()

        assert await confirm(api, link) == "UserChanged"

        # The link that would return the account to the thief's address.
        assert await confirm(api, outbox.token_for(THIEF)) == "TokenInvalid"
        assert await thief(ME) == {"me": None}

    async def test_cannot_be_undone_by_the_thief(
        self, api: Api, verified: Person, undo: tuple[Api, str], outbox: Outbox, deliver: Deliver
    ) -> None:
        thief, link = undo
        await ask(thief, COUNTESS, verified.password)
        await deliver()
        assert await confirm(api, outbox.token_for(COUNTESS)) == "UserChanged"
        await deliver()
        between = outbox.token_for(THIEF)
        await ask(thief, verified.email, verified.password)
        await deliver()
        assert await confirm(api, outbox.token_for(verified.email)) == "UserChanged"
        await deliver()

        notes = [each for each in outbox.messages if each.to == COUNTESS]
        assert (notes[-1].subject, "pot_" in notes[-1].text) == (
            "Your email address was changed",
            False,
        )
        assert await confirm(api, between) == "TokenInvalid"
        assert await confirm(api, link) == "UserChanged"

    async def test_the_address_stays_reserved_for_as_long_as_it_lasts(
        self, api: Api, verified: Person, undo: tuple[Api, str], clock: FakeClock, grace: Person
    ) -> None:
        again = {"email": verified.email, "password": "a stranger's secret 9"}
        admin = await api.login(grace)

        assert (await api(REGISTER, input=again))["register"]["__typename"] == "EmailTaken"
        invited = await mutate(admin, CREATE, email=verified.email)
        assert invited["__typename"] == "EmailTaken"
        clock.pass_(days=7)

        assert await confirm(api, undo[1]) == "TokenInvalid"
        assert (await api(REGISTER, input=again))["register"]["__typename"] == "SignedIn"

    async def test_nobody_else_can_change_to_the_former_address_meanwhile(
        self,
        api: Api,
        verified: Person,
        undo: tuple[Api, str],
        grace: Person,
        outbox: Outbox,
        deliver: Deliver,
    ) -> None:
        other = await api.login(grace)
        await ask(other, verified.email, grace.password)
        await deliver()

        assert await confirm(api, outbox.token_for(verified.email)) == "EmailTaken"

        assert await other(ME) == {"me": {"email": grace.email}}
        assert await confirm(api, undo[1]) == "UserChanged"

    async def test_is_not_offered_to_an_address_that_was_never_verified(
        self, api: Api, ada: Person, laptop: Api, outbox: Outbox, deliver: Deliver
    ) -> None:
        await ask(laptop, COUNTESS, ada.password)
        await deliver()
        assert await confirm(api, outbox.token_for(COUNTESS)) == "UserChanged"
        await deliver()

        note = outbox.messages[-1]
        assert (note.to, note.subject) == (ada.email, "Your email address was changed")
        assert "pot_" not in note.text


LINKS = {
    ALL_LINKS: "all",
    OTHER_LINKS: "all, except those that undo a change of address",
    frozenset({TokenPurpose.VERIFY_EMAIL}): "those that verify the address",
    frozenset({TokenPurpose.CHANGE_EMAIL, TokenPurpose.VERIFY_EMAIL}): (
        "those that verify or change the address"
    ),
    frozenset[TokenPurpose](): "none",
}


REMAINING = "stay; passkeys need the password once"


def row(change: Change) -> str:
    ends: Effects = change.value
    cells = (
        f"`{change.name}`",
        f"`{ends.sessions.value}`" if ends.sessions else "none",
        "all" if ends.devices else "none",
        LINKS[ends.links],
        "removed" if ends.password else "stays",
        "removed" if ends.factors else REMAINING if ends.passkeys else "stay",
        "of the current session only" if ends.freshness else "stay",
    )
    return f"| {' | '.join(cells)} |"


def test_the_table_in_the_documentation_matches_the_effects() -> None:
    page = (ROOT / "docs" / "clients" / "account-life.md").read_text(encoding="utf-8")

    assert [row(each) for each in Change if row(each) not in page] == []


TRUSTED = {"password_hash", "email", "email_verified", "suspended_at", "device_generation"}
UNTRUSTED = {
    *("id", "display_name", "role", "suspended_until", "suspension_reason", "created_at"),
    *("updated_at", "last_login_at", "open_to_registration", "external_id"),
}
WITHOUT_A_CHANGE_OF_TRUST = {
    # A sign-in upgrades the hash of the same password.
    ("sign_in.py", "password_hash"),
    # A role, or the end of a suspension.
    ("administration.py", "**"),
    # The fields of `UpdateProfileInput`.
    ("profile.py", "**"),
    # The tables of second factors.
    ("enrollment.py", "**"),
    ("recovery.py", "**"),
    # A refresh of a session.
    ("refresh.py", "**"),
    # Rows of enrollments and of recovery codes, not of users.
    ("enrollment.py", "**"),
    ("recovery.py", "**"),
}


def test_of_each_column_of_users_it_is_known_whether_trust_depends_on_it() -> None:
    columns = User.metadata.tables["users"].columns.keys()

    assert sorted([*TRUSTED, *UNTRUSTED]) == sorted(columns)


def test_trusted_columns_are_changed_nowhere_else() -> None:
    services = sorted((ROOT / "app").glob("*/services/*.py"))

    found = {
        (path.name, name)
        for path in services
        if path.name not in {"trust.py", "new_users.py"}
        for name in updated(ast.parse(path.read_text(encoding="utf-8")))
    }

    assert {(file, name) for file, name in found if name in {*TRUSTED, "**"}} == (
        WITHOUT_A_CHANGE_OF_TRUST
    )


def updated(tree: ast.AST) -> set[str]:
    """Returns the columns in any `.values(…)` of a module; `**` for those that it does not name."""
    return {
        keyword.arg or "**"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "values"
        for keyword in call.keywords
    }


REFRESH: Any = """
mutation Refresh($token: String!) {
  refreshSession(input: {refreshToken: $token}) {
    __typename ... on SignedIn { session { id } tokens { deviceToken } }
  }
}
"""
