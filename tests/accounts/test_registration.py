"""Registration."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.outcomes import InputIssue, InputIssueCode
from app.testing.clients import ME, REGISTER, Api, Person

LIMITS = """
mutation Register($input: RegisterInput!) {
  register(input: $input) { ... on InvalidInput { issues { path code limit } } }
}
"""
BAD_ADDRESSES = [
    "",
    "ada",
    "ada@",
    "@example.com",
    "ada@example",
    "ada lovelace@example.com",
    "ada\u202e@example.com",
    "ada\u200b@example.com",
    "ada\0@example.com",
    "a" * 65 + "@example.com",
    "ada@" + "x" * 250 + ".com",
]


async def count(db: Database, table: str) -> int:
    return (await db.rows(text(f"SELECT count(*) FROM {table}")))[0][0]  # noqa: S608 - names of ours


def issues(data: Any) -> list[tuple[tuple[str, ...], str]]:
    result = data["register"]
    assert result["__typename"] == "InvalidInput"
    return [(tuple(issue["path"]), issue["code"]) for issue in result["issues"]]


async def test_registering_creates_an_account_and_signs_in(api: Api) -> None:
    data = await api(
        REGISTER,
        input={
            "email": "Ada@Example.COM",
            "password": "difference engine 1",
            "displayName": " Ada ",
        },
    )

    signed_in = data["register"]
    assert signed_in["user"] == {
        "id": signed_in["user"]["id"],
        "email": "ada@example.com",
        "displayName": "Ada",
        "role": "MEMBER",
        "isActive": True,
    }
    assert signed_in["session"]["isCurrent"] is True
    assert await api.with_tokens(signed_in)(ME) == {"me": {"email": "ada@example.com"}}


async def test_all_spellings_of_an_address_are_one_account(
    api: Api, ada: Person, db: Database
) -> None:
    data = await api(REGISTER, input=ada.registration | {"email": "ADA@EXAMPLE.com"})

    assert data["register"] == {
        "__typename": "EmailTaken",
        "message": "An account with this email address already exists.",
    }
    assert await count(db, "users") == 1


async def test_both_forms_of_an_international_address_are_one_account(api: Api) -> None:
    await api.register(Person("jörg@exämple.de", "unterwegs nach Ulm"))

    data = await api(
        REGISTER, input={"email": "JÖRG@xn--exmple-cua.de", "password": "unterwegs nach Ulm"}
    )

    assert data["register"]["__typename"] == "EmailTaken"


async def test_of_fifty_concurrent_registrations_of_an_address_one_succeeds(
    api: Api, db: Database
) -> None:
    person = Person("eve@example.com", "a pair of opera glasses")
    clients = [Api(api.http) for _ in range(50)]

    answers = await asyncio.gather(
        *(client(REGISTER, input=person.registration) for client in clients)
    )

    names = sorted(answer["register"]["__typename"] for answer in answers)
    assert names == ["EmailTaken"] * 49 + ["SignedIn"]
    assert (await count(db, "users"), await count(db, "sessions")) == (1, 1)


@pytest.mark.parametrize("address", BAD_ADDRESSES)
async def test_an_invalid_address_is_refused(api: Api, db: Database, address: str) -> None:
    data = await api(REGISTER, input={"email": address, "password": "difference engine 1"})

    assert [path for path, _ in issues(data)] == [("email",)]
    assert await count(db, "users") == 0


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "REQUIRED"),
        ("q7#vK2x", "TOO_SHORT"),
        ("ä" * 257, "TOO_LONG"),
        ("nul\0in the middle", "INVALID_FORMAT"),
        ("password123", "PASSWORD_TOO_GUESSABLE"),
        ("12345678", "PASSWORD_TOO_GUESSABLE"),
        ("123456789", "PASSWORD_TOO_GUESSABLE"),
        ("1234567890", "PASSWORD_TOO_GUESSABLE"),
        ("87654321", "PASSWORD_TOO_GUESSABLE"),
        ("qwerty123456", "PASSWORD_TOO_GUESSABLE"),
        ("1q2w3e4r5t6y", "PASSWORD_TOO_GUESSABLE"),
        ("letmein123", "PASSWORD_TOO_GUESSABLE"),
        ("Passw0rd!", "PASSWORD_TOO_GUESSABLE"),
        ("123456789012345", "PASSWORD_TOO_GUESSABLE"),
        ("portico123", "PASSWORD_TOO_GUESSABLE"),
        ("Lovelace1", "PASSWORD_TOO_GUESSABLE"),
        ("ada@example.com", "PASSWORD_TOO_GUESSABLE"),
        ("Ada Lovelace", "PASSWORD_TOO_GUESSABLE"),
    ],
)
async def test_a_bad_password_is_refused(api: Api, db: Database, password: str, code: str) -> None:
    person = Person("ada@example.com", password, "Ada Lovelace")

    data = await api(REGISTER, input=person.registration)

    assert issues(data) == [(("password",), code)]
    assert await count(db, "users") == 0


@pytest.mark.parametrize(
    "password", ["strongpassword123", "七転び八起きの精神で行く", "v" * 3 + "x q j z w " * 25]
)
async def test_a_good_password_of_any_kind_is_accepted(api: Api, password: str) -> None:
    person = await api.register(Person("ada@example.com", password))

    assert (await api.login(person)).access_token


async def test_all_issues_are_returned_at_once(api: Api) -> None:
    data = await api(
        REGISTER, input={"email": "ada", "password": "short", "displayName": "a\u202eb"}
    )

    assert issues(data) == [
        (("email",), "INVALID_FORMAT"),
        (("password",), "TOO_SHORT"),
        (("displayName",), "INVALID_FORMAT"),
    ]


@pytest.mark.parametrize("nothing", ["", "  ", None])
async def test_an_empty_name_becomes_null(api: Api, nothing: str | None) -> None:
    person = Person("ada@example.com", "difference engine 1", nothing)

    data = await api(REGISTER, input=person.registration)

    assert data["register"]["user"]["displayName"] is None


async def test_issues_of_length_have_the_limit(api: Api) -> None:
    values = {"email": f"{'x' * 250}@example.com", "password": "q7#vK2x", "displayName": "a" * 101}

    data = await api(LIMITS, input=values)
    long = await api(LIMITS, input={"email": "ada", "password": "ä" * 257})

    assert data["register"]["issues"] == [
        {"path": ["email"], "code": "TOO_LONG", "limit": 254},
        {"path": ["password"], "code": "TOO_SHORT", "limit": 8},
        {"path": ["displayName"], "code": "TOO_LONG", "limit": 100},
    ]
    assert long["register"]["issues"] == [
        {"path": ["email"], "code": "INVALID_FORMAT", "limit": None},
        {"path": ["password"], "code": "TOO_LONG", "limit": 256},
    ]


@pytest.mark.parametrize("code", InputIssueCode)
@pytest.mark.parametrize("limit", [None, 8])
def test_only_issues_of_length_have_a_limit(code: InputIssueCode, limit: int | None) -> None:
    bounded = code in {InputIssueCode.TOO_SHORT, InputIssueCode.TOO_LONG}
    refused = pytest.raises(ValueError, match="does not match the limit")
    expected = nullcontext() if bounded is (limit is not None) else refused

    with expected:
        InputIssue(("name",), code, "Words.", limit)


async def test_composed_and_decomposed_spellings_of_a_password_are_equal(api: Api) -> None:
    composed, decomposed = "caf\u00e9 au lait noir", "cafe\u0301 au lait noir"
    await api.register(Person("ada@example.com", decomposed))

    client = await api.login(Person("ada@example.com", composed))

    assert await client(ME) == {"me": {"email": "ada@example.com"}}


async def test_the_password_is_stored_as_a_salted_hash(ada: Person, db: Database) -> None:
    rows = await db.rows(text("SELECT password_hash FROM users"))

    assert ada.password not in rows[0][0]
    assert rows[0][0].startswith("$bcrypt-sha256$v=2,t=2b,r=4$")
