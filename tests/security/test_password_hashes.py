"""Password hashes of other systems: which are accepted, and signing in with them."""

import hashlib
from base64 import b64encode
from unicodedata import normalize

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import text

from app.database.database import Database
from app.security.password_hashes.formats import FORMATS, read, read_or_none
from app.security.password_hashes.own_format import OwnHashes
from app.security.password_hashes.refusals import UnusableHash
from app.settings import Settings
from app.testing.clients import LOGIN, Api, Person
from tests.support.foreign_hashes import FOREIGN_HASHES, ForeignHash

PASSWORD = "analytical engine 7"
SALT, DIGEST = (b64encode(bytes([1] * size)).decode().rstrip("=") for size in (16, 32))
SHORT = b64encode(bytes(15)).decode()
OUTPUT = f"${SALT}${DIGEST}"
BCRYPT = "a" * 21 + "u" + "a" * 31
SCRYPT_HEX = "00" * 64
SIGNER_KEY = f"ss=Bw,sk={DIGEST}"
DAMAGED = "is damaged"
UNKNOWN = "has an unknown format"
NO_SALT = "has no salt"
TOO_MUCH_WORK = "would take too long to verify"
SHORT_OUTPUT = "has fewer than 16 bytes of output"
# Verified within milliseconds; at least one for each key derivation function.
QUICK = [
    next(each for each in FOREIGN_HASHES if each.format == name and each.password == PASSWORD)
    for name in (
        "bcrypt_sha256",
        "django_bcrypt",
        "django_bcrypt_sha256",
        "pbkdf2",
        "ldap_pbkdf2",
        "django_pbkdf2",
        "werkzeug_pbkdf2",
        "asp_net_identity_3",
        "scrypt",
        "scrypt_crypt",
        "django_scrypt",
        "better_auth",
        "firebase_scrypt",
        "braced_argon2",
        "md5_crypt",
        "ldap_salted_sha1",
        "ldap_sha256_crypt",
        "phpass",
        "fshp",
        "oracle11",
        "mssql2005",
    )
]
each_hash = pytest.mark.parametrize(
    "made", FOREIGN_HASHES, ids=lambda made: f"{made.format}-{made.text[:24]}"
)


async def store(db: Database, person: Person, password_hash: str) -> None:
    async with db.begin() as session:
        changed = text("UPDATE users SET password_hash = :hash WHERE email = :email")
        await session.execute(changed, {"hash": password_hash, "email": person.email})


async def stored(db: Database, person: Person) -> str:
    chosen = text("SELECT password_hash FROM users WHERE email = :email").bindparams(
        email=person.email
    )
    return (await db.rows(chosen))[0][0]


async def sign_in_outcome(api: Api, person: Person) -> str:
    """Returns the type that a sign-in answers."""
    data = await api(LOGIN, input=person.credentials)
    return data["login"]["__typename"]


def can_be_configured(cost: int) -> bool:
    try:
        return Settings(bcrypt_rounds=cost).bcrypt_rounds == cost
    except ValidationError:
        return False


def why_refused(password_hash: str) -> str:
    with pytest.raises(UnusableHash) as error:
        read(password_hash)
    return str(error.value)


def test_every_format_has_a_sample_made_by_another_program() -> None:
    assert {each.format for each in FOREIGN_HASHES} == {each.name for each in FORMATS}


@each_hash
def test_a_hash_matches_exactly_one_format(made: ForeignHash) -> None:
    assert [each.name for each in FORMATS if each.identify(made.text)] == [made.format]


@each_hash
def test_another_password_does_not_match(made: ForeignHash) -> None:
    assert not read(made.text).matches(f"x{made.password}")


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(QUICK), st.data())
def test_a_password_that_differs_anywhere_does_not_match(
    made: ForeignHash, data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(PASSWORD)))
    removed = data.draw(st.integers(0, 2))
    added = data.draw(st.text(max_size=2))
    other = PASSWORD[:position] + added + PASSWORD[position + removed :]
    # Some formats normalise the password, at most by NFKC.
    assume(other == PASSWORD or normalize("NFKC", other) != PASSWORD)

    assert read(made.text).matches(other) == (other == PASSWORD)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(QUICK), st.data())
def test_a_hash_changed_in_any_way_is_read_or_refused(
    made: ForeignHash, data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(made.text)))
    removed = data.draw(st.integers(0, 3) | st.just(len(made.text)))
    added = data.draw(st.text(max_size=3) | st.text("$:,={}0123456789abcdefA/+.", max_size=3))
    changed = made.text[:position] + added + made.text[position + removed :]

    assert len([each for each in FORMATS if each.identify(changed)]) <= 1
    derivation = read_or_none(changed)
    assert derivation is None or derivation.matches(PASSWORD) in {True, False}


@pytest.mark.parametrize(
    "made",
    [each for each in FOREIGN_HASHES if len(each.password.encode()) > 72],
    ids=lambda made: made.format,
)
async def test_all_bytes_of_a_password_of_more_than_72_bytes_count_after_a_sign_in(
    api: Api, ada: Person, db: Database, made: ForeignHash
) -> None:
    await store(db, ada, made.text)

    assert await api.login(Person(ada.email, made.password))

    cut = Person(ada.email, made.password[:72])
    if not read(made.text).matches(cut.password):
        assert await sign_in_outcome(api, cut) == "InvalidCredentials"
    assert await api.login(Person(ada.email, made.password))


async def test_plain_bcrypt_ignores_what_follows_72_bytes(
    api: Api, ada: Person, db: Database
) -> None:
    long = "an analytical engine for Ada " * 4
    made = next(each for each in FOREIGN_HASHES if (each.format, each.password) == ("bcrypt", long))
    await store(db, ada, made.text)

    assert await api.login(Person(ada.email, long[:72] + "of Byron"))
    assert await stored(db, ada) == made.text


LENIENT = {
    "wordpress": ("  analytical engine 8\t", "analytical engine 8"),
    "bcrypt": ("an analytical engine for Ada " * 4, ("an analytical engine for Ada " * 3)[:72]),
    "better_auth": (
        "\ufb01ne engine \u2167 cafe\u0301",
        normalize("NFKC", "\ufb01ne engine \u2167 cafe\u0301"),
    ),
}


@pytest.mark.parametrize("name", LENIENT)
async def test_a_hash_is_replaced_only_when_all_of_the_typed_password_counts(
    api: Api, ada: Person, db: Database, name: str
) -> None:
    typed, counting = LENIENT[name]
    made = next(each for each in FOREIGN_HASHES if (each.format, each.password) == (name, typed))
    await store(db, ada, made.text)

    assert await api.login(Person(ada.email, typed))
    assert await stored(db, ada) == made.text
    assert await api.login(Person(ada.email, counting))
    assert (await stored(db, ada)).startswith("$bcrypt-sha256$")
    assert await api.login(Person(ada.email, counting))


async def test_only_our_own_hashes_normalise_the_password(
    api: Api, ada: Person, db: Database
) -> None:
    made = next(each for each in FOREIGN_HASHES if each.password == "cafe\u0301 engine 7")
    composed = Person(ada.email, "caf\u00e9 engine 7")
    await store(db, ada, made.text)

    assert await sign_in_outcome(api, composed) == "InvalidCredentials"
    assert await api.login(Person(ada.email, made.password))
    assert await api.login(composed)


@pytest.mark.parametrize(
    "password_hash",
    [
        "$argon2id$v=19$m=64,t=1,p=4$AQEBAQEBAQEBAQEBAQEBAQ$AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ",
        "$pbkdf2-sha256$1$Ose4V6oVgvB",
        "$scrypt$ln=4,r=8,p_1$IeS8$U7G4",
        "$2b$31$" + BCRYPT,
        "$firebase-scrypt$m=60,r=8," + SIGNER_KEY + OUTPUT,
        "no hash",
        "kein Haschwert: é",
        "x" * 10_000,
    ],
)
async def test_no_password_matches_an_unusable_hash(
    api: Api, ada: Person, db: Database, password_hash: str
) -> None:
    await store(db, ada, password_hash)

    assert await sign_in_outcome(api, ada) == "InvalidCredentials"
    assert await stored(db, ada) == password_hash
    assert api.errors == []


@pytest.mark.parametrize("password", ["", "\0", "\0analytical engine 7"])
async def test_the_empty_password_does_not_sign_in_even_if_its_hash_is_stored(
    api: Api, ada: Person, db: Database, password: str
) -> None:
    empty = hashlib.pbkdf2_hmac("sha256", b"", b"salt", 1).hex()
    await store(db, ada, f"pbkdf2:sha256:1$salt${empty}")
    assert read(await stored(db, ada)).matches("")

    assert await sign_in_outcome(api, Person(ada.email, password)) == "InvalidCredentials"


@pytest.mark.parametrize("prefix", ["", "bcrypt$", "{CRYPT}", "{crypt}", "{bcrypt}", "{BCRYPT}"])
async def test_unused_bits_of_a_bcrypt_hash_are_ignored(
    api: Api, ada: Person, db: Database, prefix: str
) -> None:
    made = next(each for each in FOREIGN_HASHES if each.text.startswith("$2b$"))
    # The last characters of salt and output, `u` and `.`, with all unused bits set.
    salt_end = len("$2b$04$") + 22
    changed = made.text[: salt_end - 1] + "z" + made.text[salt_end:-1] + "B"
    await store(db, ada, prefix + changed)

    assert await api.login(Person(ada.email, made.password))


@pytest.mark.parametrize(
    ("password_hash", "why"),
    [
        ("", UNKNOWN),
        ("5f4dcc3b5aa765d61d8327deb882cf99", UNKNOWN),
        ("ff628022df6b96e648a925f417e43dc0:3b9d7c", UNKNOWN),
        # From PasswordHasherTest.cs of ASP.NET Core: too short, and too long.
        ("AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggE=", UNKNOWN),
        (
            "AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggHIVY0sdEUfdyeM+E1LtH1uJgAAAAAAAAAAAAA=",
            UNKNOWN,
        ),
        ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC", UNKNOWN),
        ("{noop}password", "is a password in plain text"),
        ("{PLAIN}password", "is a password in plain text"),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", NO_SALT),
        ("md5$$5f4dcc3b5aa765d61d8327deb882cf99", NO_SALT),
        ("sha1$$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8", NO_SALT),
        ("$1$$I2o9Z7NcvQAKp7wyCTlia0", NO_SALT),
        ("!GjPstMhE0DgS9cTrV9wMqWcrXXqiDPR3X6tJx9dd", "says that there is no password"),
        ("*", "says that there is no password"),
        ("é", "is not a password hash"),
        ("$2b$04$" + "a" * 2000, "is not a password hash"),
    ],
)
def test_a_text_in_no_accepted_format_is_refused_with_the_reason(
    password_hash: str, why: str
) -> None:
    assert why_refused(password_hash) == why


@pytest.mark.parametrize(
    "password_hash",
    [
        "$2b$04$" + "a" * 20,
        "$2b$03$" + BCRYPT,
        "$2b$32$" + BCRYPT,
        "$wp$2y$10$" + "a" * 20,
        "$pbkdf2-sha256$1$Ose4V6oVgvB",
        f"$pbkdf2-sha256$0{OUTPUT}",
        f"$pbkdf2-sha256$i=1000,l=64{OUTPUT}",
        f"$pbkdf2-sha256$i=1000,i=1000{OUTPUT}",
        f"$pbkdf2-sha256$l=32{OUTPUT}",
        f"$pbkdf2-sha256$i=1000,x=1{OUTPUT}",
        f"$pbkdf2-sha256$1000${SALT}${DIGEST[:-1]}F",
        f"{{PBKDF2-SHA256}}x{OUTPUT}",
        "pbkdf2_sha256$1000$salt$" + DIGEST + "!",
        "pbkdf2:sha256:1000$salt$abc",
        "AQAAAAEAACcQ",
        "AQAAAAMAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==",
        "AQAAAAEAACcQAAAA/wABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==",
        f"$scrypt$ln=4,r=8,p_1{OUTPUT}",
        f"$scrypt$ln=4,r=8{OUTPUT}",
        f"$scrypt$ln=4,r=8,p=0{OUTPUT}",
        f"$scrypt$ln=0,r=8,p=1{OUTPUT}",
        f"scrypt$1000$salt$8$5${DIGEST}",
        f"scrypt:1000:8:1$salt${SCRYPT_HEX}",
        f"$firebase-scrypt$m=14,r=8,ss=Bw{OUTPUT}",
        f"$firebase-scrypt$m=14,r=8,ss=Bw,sk={DIGEST}${SALT}${SALT}",
        f"$firebase-scrypt$m=14,r=8,{SIGNER_KEY}$${DIGEST}",
        f"$fbscrypt$v=2,n=14,r=8,p=1,{SIGNER_KEY}{OUTPUT}",
        f"$argon2id$v=19$m=64,t=1,p=1${SALT[:-1]}R${DIGEST}",
        f"$argon2id$v=18$m=64,t=1,p=1{OUTPUT}",
        f"$argon2id$v=19$m=64,t=0,p=1{OUTPUT}",
        f"$argon2id$v=19$m=64,t=1{OUTPUT}",
        "$6$rounds=1000$abcdefgh$" + "a" * 20,
        "$6$rounds=1000$abcdefgh",
        "$6$rounds=1000$" + "a" * 17 + "$" + "a" * 85 + "1",
        "{SSHA}W6ph5Mm5",
    ],
)
def test_a_damaged_hash_is_refused(password_hash: str) -> None:
    assert why_refused(password_hash) == DAMAGED


@pytest.mark.parametrize(
    "password_hash",
    [
        "$2b$16$" + BCRYPT,
        "bcrypt$$2b$16$" + BCRYPT,
        "bcrypt_sha256$$2b$16$" + BCRYPT,
        "{CRYPT}$2b$16$" + BCRYPT,
        "{bcrypt}$2b$16$" + BCRYPT,
        "$wp$2y$16$" + BCRYPT,
        "$bcrypt-sha256$v=2,t=2b,r=17$" + "a" * 21 + "u$" + "a" * 31,
        f"$pbkdf2-sha256$3000001{OUTPUT}",
        f"$pbkdf2-sha256$i=3000001{OUTPUT}",
        f"{{PBKDF2-SHA256}}3000001{OUTPUT}",
        f"pbkdf2_sha256$1000000000$salt${DIGEST}",
        "pbkdf2:sha256:1000000000$salt$" + "00" * 32,
        "AQAAAAH/////AAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==",
        f"$scrypt$ln=18,r=16,p=1{OUTPUT}",
        f"$scrypt$ln=18,r=8,p=16{OUTPUT}",
        f"$scrypt$ln=64,r=8,p=1{OUTPUT}",
        f"$scrypt$ln=1,r=8,p=17{OUTPUT}",
        f"$scrypt$ln=1,r=1025,p=1{OUTPUT}",
        f"$scrypt$ln=1,r=4000000000,p=1{OUTPUT}",
        "$7$z6..../....salt$" + "a" * 43,
        f"scrypt$1073741824$salt$8$1${DIGEST}",
        f"scrypt:1073741824:8:1$salt${SCRYPT_HEX}",
        f"{{scrypt}}$ff0801{OUTPUT}",
        f"$firebase-scrypt$m=22,r=8,{SIGNER_KEY}{OUTPUT}",
        f"$fbscrypt$v=1,n=22,r=8,p=1,{SIGNER_KEY}{OUTPUT}",
        f"$argon2id$v=19$m=4194304,t=1,p=1{OUTPUT}",
        f"$argon2id$v=19$m=262144,t=9,p=4{OUTPUT}",
        f"$argon2id$v=19$m=1024,t=1,p=17{OUTPUT}",
        f"argon2$argon2id$v=19$m=4194304,t=1,p=1{OUTPUT}",
        f"{{ARGON2}}$argon2id$v=19$m=4194304,t=1,p=1{OUTPUT}",
        "$6$rounds=999999999$abcdefgh$" + "a" * 86,
        "{CRYPT}$6$rounds=999999999$abcdefgh$" + "a" * 86,
        "$P$J" + "a" * 30,
    ],
)
def test_a_hash_that_would_take_too_long_is_refused(password_hash: str) -> None:
    assert why_refused(password_hash) == TOO_MUCH_WORK


@pytest.mark.parametrize(
    "password_hash",
    [
        f"$pbkdf2-sha256$1000${SALT}${SHORT}",
        f"$pbkdf2-sha256$i=1000,l=15${SALT}${SHORT}",
        f"{{PBKDF2-SHA256}}1000${SALT}${SHORT}",
        f"pbkdf2_sha256$1000$salt${SHORT}",
        "pbkdf2:sha256:1000$salt$" + "00" * 15,
        # From PasswordHasherTest.cs of ASP.NET Core.
        "AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4A=",
        f"$scrypt$ln=10,r=8,p=1${SALT}${SHORT}",
        f"scrypt$1024$salt$8$1${SHORT}",
        "scrypt:1024:8:1$salt$" + "00" * 15,
        f"$e0801${SALT}${SHORT}",
        f"$firebase-scrypt$m=14,r=8,ss=Bw,sk={SHORT}${SALT}${SHORT}",
        f"$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk={SHORT}${SALT}${SHORT}",
        f"$argon2id$v=19$m=64,t=1,p=1${SALT}${SHORT}",
        f"argon2$argon2id$v=19$m=64,t=1,p=1${SALT}${SHORT}",
    ],
)
def test_an_output_that_many_passwords_match_is_refused(password_hash: str) -> None:
    assert why_refused(password_hash) == SHORT_OUTPUT


@pytest.mark.parametrize(
    ("password_hash", "why"),
    [
        ("$2x$04$" + BCRYPT, "was made by a version of bcrypt with a bug for non-ASCII characters"),
        (f"$pbkdf2-sha256$1000$${DIGEST}", NO_SALT),
        (f"$pbkdf2-sha3$1000{OUTPUT}", "uses a digest that is not supported"),
        (f"scrypt$1024$$8$1${DIGEST}", NO_SALT),
        (
            f"$scrypt$ln=16,r=1,p=1{OUTPUT}",
            "has a cost that scrypt does not allow for its block size",
        ),
        (f"$argon2id$v=19$m=64,t=1,p=1$AQEB${DIGEST}", "has a salt of less than 8 bytes"),
        (
            f"$argon2id$v=19$m=31,t=1,p=4{OUTPUT}",
            "has less memory than Argon2 allows for its parallelism",
        ),
        (
            f"$argon2id$v=19$m=64,t=1,p=1,keyid=AQEB{OUTPUT}",
            "needs more to be verified than a password and a salt",
        ),
        (
            "AQAAAAEAACcQAAAADwABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==",
            "has a salt of less than 16 bytes",
        ),
        (
            "{pbkdf2}5d923b44a6d129f3ddf3e3c8d29412723dcbde72445e8ef6bf3b508f",
            "was made with other settings than the defaults, and does not name them",
        ),
    ],
)
def test_an_undamaged_hash_that_is_not_accepted_is_refused_with_the_reason(
    password_hash: str, why: str
) -> None:
    assert why_refused(password_hash) == why


def test_our_own_hashes_are_accepted_at_the_highest_cost_that_can_be_configured() -> None:
    highest = max(cost for cost in range(4, 32) if can_be_configured(cost))

    read(f"$bcrypt-sha256$v=2,t=2b,r={highest}$" + "a" * 21 + "u$" + "a" * 30 + "u")

    assert highest == 16


@pytest.mark.parametrize(
    "password_hash", [f"$scrypt$ln=18,r=8,p=1{OUTPUT}", f"$scrypt$ln=1,r=1024,p=16{OUTPUT}"]
)
def test_a_hash_at_the_memory_limits_can_be_verified(password_hash: str) -> None:
    assert not read(password_hash).matches(PASSWORD)


def test_an_unmatchable_hash_has_our_format_and_cost_and_matches_no_password() -> None:
    hashes = OwnHashes(4)
    unmatchable = hashes.unmatchable()
    assert not hashes.outdated(unmatchable)
    assert OwnHashes(5).outdated(unmatchable)
    assert len(unmatchable) == len(hashes.make(PASSWORD))
    assert [read(unmatchable).matches(each) for each in ("", "portico", PASSWORD)] == [False] * 3
    assert hashes.unmatchable() != unmatchable
