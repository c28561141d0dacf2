"""Password hashes of other systems: which are taken over, and how they let people in."""

from base64 import b64encode

import pytest
from sqlalchemy import text

from app.db import Database
from app.security.password_hashes import CONTEXT, Refused, taken_over
from tests.clients import LOGIN, Api, Person

LONG = "an analytical engine for Ada " * 4
SALT, DIGEST = (b64encode(bytes([1] * size)).decode().rstrip("=") for size in (16, 32))
ARGON2 = f"${SALT}${DIGEST}"
TOO_MUCH = "would take too long to verify"


async def store(db: Database, person: Person, password_hash: str) -> None:
    async with db.begin() as session:
        changed = text("UPDATE users SET password_hash = :hash WHERE email = :email")
        await session.execute(changed, {"hash": password_hash, "email": person.email})


@pytest.mark.parametrize("scheme", ["bcrypt", "django_bcrypt", "ldap_bcrypt"])
async def test_a_password_that_another_system_cut_is_upgraded_whole(
    api: Api, ada: Person, db: Database, scheme: str
) -> None:
    await store(db, ada, CONTEXT.handler(scheme).using(rounds=4).hash(LONG.encode()[:72]))

    assert await api.login(Person(ada.email, LONG))

    data = await api(LOGIN, input={"email": ada.email, "password": LONG[:72]})
    assert data["login"]["__typename"] == "InvalidCredentials"
    assert await api.login(Person(ada.email, LONG))


@pytest.mark.parametrize(
    "password_hash",
    [
        "$argon2id$v=19$m=64,t=1,p=4$AQEBAQEBAQEBAQEBAQEBAQ$AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ",
        "$pbkdf2-sha256$1$Ose4V6oVgvB",
        "$scrypt$ln=4,r=8,p_1$IeS8$U7G4",
        "no hash",
    ],
)
async def test_a_hash_that_cannot_be_read_lets_nobody_in(
    api: Api, ada: Person, db: Database, password_hash: str
) -> None:
    await store(db, ada, password_hash)

    data = await api(LOGIN, input=ada.credentials)

    assert data["login"]["__typename"] == "InvalidCredentials"
    assert api.errors == []


@pytest.mark.parametrize(
    ("password_hash", "why"),
    [
        ("", "is of no known format"),
        ("5f4dcc3b5aa765d61d8327deb882cf99", "is of no known format"),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "is of no known format"),
        ("é", "is no password hash"),
        ("$2b$04$" + "a" * 2000, "is no password hash"),
        ("$2b$04$" + "a" * 20, "is damaged"),
        ("$pbkdf2-sha256$1$Ose4V6oVgvB", "is damaged"),
        (f"$scrypt$ln=4,r=8,p_1{ARGON2}", "is damaged"),
        (f"$argon2id$v=19$m=64,t=1,p=1${SALT[:-1]}R${DIGEST}", "is damaged"),
        ("$2b$16$" + "a" * 21 + "u" + "a" * 31, TOO_MUCH),
        (f"$argon2id$v=19$m=4194304,t=1,p=1{ARGON2}", TOO_MUCH),
        (f"$argon2id$v=19$m=262144,t=9,p=4{ARGON2}", TOO_MUCH),
        (f"$scrypt$ln=18,r=16,p=1{ARGON2}", TOO_MUCH),
        (f"$scrypt$ln=18,r=8,p=16{ARGON2}", TOO_MUCH),
        ("pbkdf2_sha256$1000000000$salt$" + b64encode(bytes(32)).decode(), TOO_MUCH),
        ("$6$rounds=999999999$abcdefgh$" + "a" * 86, TOO_MUCH),
        ("{CRYPT}$6$rounds=999999999$abcdefgh$" + "a" * 86, TOO_MUCH),
    ],
)
def test_what_cannot_be_verified_within_reason_is_refused(password_hash: str, why: str) -> None:
    with pytest.raises(Refused, match=f"^{why}$"):
        taken_over(password_hash)


def test_bits_that_mean_nothing_are_put_right() -> None:
    assert taken_over("$2b$04$" + "a" * 53) == "$2b$04$" + "a" * 21 + "O" + "a" * 31
