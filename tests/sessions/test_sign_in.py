"""Signing in."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import bcrypt
import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.errors import Overloaded
from app.security.passwords import Passwords, Verification
from app.testing.clients import LOGIN, ME, Api, Person
from app.testing.clock import FakeClock

INVALID = {
    "login": {
        "__typename": "InvalidCredentials",
        "message": "The email address or the password is wrong.",
    }
}
SUSPEND = "UPDATE users SET suspended_at = now(), suspended_until = :until, suspension_reason = 'x'"


async def change(db: Database, statement: str, **values: Any) -> None:
    async with db.begin() as session:
        await session.execute(text(statement), values)


async def sessions(db: Database) -> int:
    return (await db.rows(text("SELECT count(*) FROM sessions")))[0][0]


async def test_signing_in_starts_a_session(api: Api, ada: Person, db: Database) -> None:
    data = await api(LOGIN, input=ada.credentials | {"email": "ADA@example.com"})

    assert data["login"]["user"]["email"] == ada.email
    assert data["login"]["session"]["isCurrent"] is True
    assert await sessions(db) == 2


@pytest.mark.parametrize(
    "credentials",
    [
        {"email": "nobody@example.com", "password": "difference engine 1"},
        {"email": "ada@example.com", "password": "difference engine 2"},
        {"email": "ada@example.com", "password": ""},
        {"email": "ada@example.com", "password": "nul\0"},
        {"email": "ada@example.com", "password": "x" * 10_000},
        {"email": "not an address", "password": "difference engine 1"},
        {"email": "nul\0@example.com", "password": "difference engine 1"},
    ],
)
async def test_wrong_credentials_get_the_same_answer(
    api: Api, ada: Person, db: Database, credentials: dict[str, str]
) -> None:
    assert ada.email == "ada@example.com"

    assert await api(LOGIN, input=credentials) == INVALID
    assert await sessions(db) == 1


async def test_a_suspended_user_gets_the_answer_of_a_wrong_password(
    api: Api, ada: Person, db: Database
) -> None:
    await change(db, SUSPEND, until=None)

    assert await api(LOGIN, input=ada.credentials) == INVALID
    assert await sessions(db) == 1


async def test_a_suspension_with_an_end_ends_by_itself(
    api: Api, ada: Person, db: Database, clock: FakeClock
) -> None:
    await change(db, SUSPEND, until=clock() + timedelta(hours=1))

    assert await api(LOGIN, input=ada.credentials) == INVALID
    clock.pass_(hours=2)
    assert (await api.login(ada)).access_token


async def test_a_password_that_changes_during_its_verification_is_refused(
    api: Api, ada: Person, db: Database
) -> None:
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET password_hash = 'another'"))
        signing_in = asyncio.create_task(api(LOGIN, input=ada.credentials))
        # Long enough to read and verify the former hash. The row stays locked until the change
        # is committed.
        await asyncio.sleep(0.3)

    assert await signing_in == INVALID
    assert await sessions(db) == 1


async def test_a_plain_bcrypt_hash_is_upgraded_by_the_next_sign_in(
    api: Api, ada: Person, db: Database
) -> None:
    old = bcrypt.hashpw(ada.password.encode(), bcrypt.gensalt(4)).decode()
    await change(db, "UPDATE users SET password_hash = :old", old=old)

    await api.login(ada)

    rows = await db.rows(text("SELECT password_hash FROM users"))
    assert rows[0][0].startswith("$bcrypt-sha256$")
    assert (await api.login(ada)).access_token


async def test_devices_that_sign_in_during_a_hash_upgrade_all_succeed(
    api: Api, ada: Person, db: Database
) -> None:
    old = bcrypt.hashpw(ada.password.encode(), bcrypt.gensalt(4)).decode()
    await change(db, "UPDATE users SET password_hash = :old", old=old)

    devices = await asyncio.gather(*(Api(api.http).login(ada) for _ in range(5)))

    assert all(device.access_token for device in devices)


async def test_a_full_hashing_queue_refuses_more_passwords(
    api: Api, ada: Person, app: FastAPI, db: Database
) -> None:
    passwords: Passwords = app.state.portico.services[Passwords]
    slow = bcrypt.hashpw(b"x", bcrypt.gensalt(10)).decode()
    busy = [asyncio.create_task(passwords.verify("y", slow)) for _ in range(60)]
    await asyncio.sleep(0)

    data = await api(LOGIN, input=ada.credentials)

    assert data["login"]["__typename"] == "RateLimited"
    assert await sessions(db) == 1
    results = await asyncio.gather(*busy, return_exceptions=True)
    assert {type(result) for result in results} == {Verification, Overloaded}


async def test_the_access_token_has_all_its_claims(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)
    keys = (await api.http.get("/.well-known/jwks.json")).json()["keys"]

    header = jwt.get_unverified_header(laptop.access_token or "")
    key = next(key for key in keys if key["kid"] == header["kid"])
    claims = jwt.decode(
        laptop.access_token or "",
        jwt.PyJWK(key),
        ["ES256"],
        audience="portico",
        issuer="http://127.0.0.1:8000",
    )

    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": key["kid"]}
    assert claims == {
        "iss": "http://127.0.0.1:8000",
        "sub": str(uuid.UUID(ada.id.removeprefix("User_"))),
        "aud": "portico",
        "client_id": "portico",
        "sid": str(uuid.UUID((laptop.session_id or "").removeprefix("Session_"))),
        "gen": 0,
        "iat": claims["exp"] - 15 * 60,
        "auth_time": claims["auth_time"],
        "amr": ["pwd"],
        "acr": "aal1",
        "exp": claims["exp"],
        "jti": claims["jti"],
    }
    assert 0 <= claims["iat"] - claims["auth_time"] < 60


async def test_the_refresh_token_is_not_in_the_database(
    api: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)

    rows = await db.rows(text("SELECT row_to_json(s)::text FROM sessions s"))

    assert all((laptop.refresh_token or "-")[-43:] not in row[0] for row in rows)


async def test_me_of_a_guest_is_null_without_an_error(api: Api) -> None:
    assert await api(ME) == {"me": None}
    assert api.errors == []


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "x" * 5000])
async def test_an_invalid_token_makes_a_guest_with_an_error(api: Api, token: str) -> None:
    client = api.with_bearer(token)

    assert await client(ME) == {"me": None}
    assert client.last_code == "UNAUTHENTICATED"
    assert client.errors[0]["path"] == ["me"]


async def test_a_stale_token_does_not_block_signing_in(api: Api, ada: Person) -> None:
    client = api.with_bearer("stale")

    assert (await client.login(ada)).access_token


async def test_an_access_token_expires(api: Api, ada: Person, clock: FakeClock) -> None:
    laptop = await api.login(ada)

    clock.pass_(minutes=14, seconds=50)
    assert await laptop(ME) == {"me": {"email": ada.email}}
    clock.pass_(seconds=15)
    assert await laptop(ME) == {"me": None}
    assert laptop.last_code == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sessions SET ended_at = now()",
        "UPDATE sessions SET expires_at = now()",
        "UPDATE sessions SET ends_by = now()",
        "DELETE FROM sessions",
        "DELETE FROM users",
        "UPDATE users SET suspended_at = now()",
    ],
)
async def test_a_change_in_the_database_is_effective_with_the_next_request(
    api: Api, ada: Person, db: Database, statement: str
) -> None:
    laptop = await api.login(ada)
    assert await laptop(ME) == {"me": {"email": ada.email}}

    await change(db, statement)

    assert await laptop(ME) == {"me": None}
    assert laptop.last_code == "UNAUTHENTICATED"
