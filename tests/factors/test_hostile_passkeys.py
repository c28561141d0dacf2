"""Signatures of passkeys that are not quite right, through the public door.

Every byte of them is changed in tests/security/test_passkeys.py.
"""

import base64
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from app.database.database import Database
from app.security.ceremonies import Ceremonies, CeremonyPurpose
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.passkeys import (
    ATTESTED,
    BACKED_UP,
    EDDSA,
    ELIGIBLE,
    ES256,
    ORIGIN,
    PRESENT,
    RS256,
    USUAL,
    VERIFIED,
    Credential,
    Json,
    SoftwareAuthenticator,
    decode,
    encode,
)

EVE = Person("eve@example.com", "an apple a day 42", "Eve")
EXTENSIONS = 0x80
USED = "used_ceremonies"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Door:
    """Where passkeys are refused: each answer must be the same, and change nothing."""

    def __init__(self, guest: Api, db: Database, expected: Any) -> None:
        self.guest = guest
        self.db = db
        self.expected = expected
        self.different: Json = {}
        self.ceremonies: set[str] = set()

    async def sign_in(self, name: str, ceremony: str, credential: object) -> None:
        await passkeys.finish_sign_in(self.guest, ceremony, credential)
        self.ceremonies.add(ceremony)
        if self.guest.last_seen != self.expected:
            self.different[name] = self.guest.last_seen

    async def ask(self, name: str, device: SoftwareAuthenticator) -> None:
        """Begin to sign in, and let a device that is not quite right answer."""
        begun = await passkeys.begin_sign_in(self.guest)
        await self.sign_in(name, begun["ceremony"], device.get(begun["publicKey"]))


@pytest.fixture
async def owner(api: Api, db: Database, ada: Person) -> Api:
    await factors.verify(db, ada)
    return await api.login(ada)


@pytest.fixture
async def device(owner: Api) -> SoftwareAuthenticator:
    """The authenticator of Ada, with a passkey."""
    made = SoftwareAuthenticator()
    assert (await passkeys.register(owner, made))["__typename"] == "FactorAdded"
    return made


@pytest.fixture
async def eves(api: Api, db: Database) -> SoftwareAuthenticator:
    """The authenticator of somebody else, with a passkey."""
    eve = await api.register(EVE)
    await factors.verify(db, eve)
    made = SoftwareAuthenticator()
    assert (await passkeys.register(await api.login(eve), made))["__typename"] == "FactorAdded"
    return made


@asynccontextmanager
async def closed_door(
    api: Api, db: Database, device: SoftwareAuthenticator, used_before: int = 0
) -> AsyncGenerator[Door]:
    """A door at which everything is refused as an unknown passkey is."""
    unknown = Credential(ES256, device.credentials[0].user_handle)
    await passkeys.sign_in(api, SoftwareAuthenticator(credentials=[unknown]))
    expected = api.last_seen
    assert json.loads(expected[2]) == {
        "data": {
            "signInWithPasskey": {
                "__typename": "PasskeyRefused",
                "message": "This passkey was not accepted. Try again, or choose another way.",
            }
        }
    }
    before = await contents(db)
    door = Door(api, db, expected)
    yield door
    after = await contents(db)
    assert door.different == {}
    used = len(door.ceremonies) - used_before
    assert len(after.pop(USED)) == len(before.pop(USED)) + used
    assert after == before
    # The passkey itself works.
    assert (await passkeys.sign_in(api, device))["__typename"] == "SignedIn"


NOT_FALSE: list[object] = [True, "false", "true", 0, 1, None, [], {}, ""]
CLIENT_DATA: Mapping[str, Json] = {
    "a new passkey": {"type": "webauthn.create"},
    "another type": {"type": "payment.get"},
    "a type in other letters": {"type": "WebAuthn.get"},
    "a type with a space": {"type": "webauthn.get "},
    "no type": {"type": None},
    "a list of types": {"type": ["webauthn.get"]},
    "another challenge": {"challenge": encode(bytes(32))},
    "no challenge": {"challenge": None},
    "an empty challenge": {"challenge": ""},
    "a number as the challenge": {"challenge": 1},
    **{
        f"the origin {origin}": {"origin": origin}
        for origin in (
            "https://localhost",
            "https://localhost:8000",
            "http://localhost.evil.com",
            "http://localhost.evil.com:8000",
            "http://evil.com/http://localhost:8000",
            "http://localhost:8000@evil.com",
            "http://evil@localhost:8000",
            "http://evil.localhost:8000",
            "http://LOCALHOST:8000",
            "HTTP://localhost:8000",
            "http://localhost.:8000",
            "http://localhost:8000.",
            "http://localhost:8000/",
            "http://localhost:8000#",
            "http://localhost:8000?",
            "http://localhost:",
            "http://localhost:*",
            "http://localhost:123456",
            "http://localhost:٨٠٠٠",
            "http://localhost:8000\n",
            " http://localhost:8000",
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
            "localhost",
            "null",
            "",
            "*",
            "\ud800",
            "android:apk-key-hash:AAAA",
        )
    },
    "null as the origin": {"origin": None},
    "a list of origins": {"origin": [ORIGIN]},
    "an object as the origin": {"origin": {"toString": ORIGIN}},
    **{f"crossOrigin {value!r}": {"crossOrigin": value} for value in NOT_FALSE},
    "the page around the frame": {"topOrigin": ORIGIN},
    "an unknown page around it": {"topOrigin": None},
    "another page around it": {"crossOrigin": True, "topOrigin": "https://evil.com"},
}


async def test_client_data_of_another_page_or_purpose_is_refused(
    api: Api, db: Database, device: SoftwareAuthenticator
) -> None:
    async with closed_door(api, db, device) as door:
        for name, client_data in CLIENT_DATA.items():
            await door.ask(name, replace(device, client_data=client_data))


@pytest.mark.parametrize(
    "client_data",
    [
        {"origin": "http://localhost"},
        {"origin": "http://localhost:5173"},
        {"unknown": {"member": [1]}, "other_keys_can_be_added_here": "do not compare"},
        # Of WebAuthn Level 2; no browser binds tokens to connections any more.
        {"tokenBinding": {"status": "supported"}},
        {"tokenBinding": "unused"},
    ],
)
async def test_client_data_may_have_other_members_and_any_port_of_this_machine(
    api: Api, device: SoftwareAuthenticator, client_data: Json
) -> None:
    signed_in = await passkeys.sign_in(api, replace(device, client_data=client_data))

    assert signed_in["__typename"] == "SignedIn"


FLAGS: Mapping[str, int] = {
    "the user was not verified": USUAL & ~VERIFIED,
    "the user was not present": USUAL & ~PRESENT,
    "neither": USUAL & ~PRESENT & ~VERIFIED,
    "backed up, and cannot be": USUAL & ~ELIGIBLE,
    "can no longer be backed up": USUAL & ~ELIGIBLE & ~BACKED_UP,
    "a key is promised": USUAL | ATTESTED,
    "extensions are promised": USUAL | EXTENSIONS,
    "all flags": 0xFF,
    "no flags": 0,
}


async def test_authenticator_data_without_what_is_needed_is_refused(
    api: Api, db: Database, device: SoftwareAuthenticator
) -> None:
    async with closed_door(api, db, device) as door:
        for name, flags in FLAGS.items():
            await door.ask(name, replace(device, flags=flags))
        for rp_id in ("example.com", "LOCALHOST", "localhost.", "http://localhost:8000", ""):
            await door.ask(f"for {rp_id}", replace(device, rp_id=rp_id))


async def test_a_passkey_that_could_not_be_backed_up_cannot_begin_to(
    api: Api, owner: Api, db: Database
) -> None:
    device = SoftwareAuthenticator(flags=PRESENT | VERIFIED)
    await passkeys.register(owner, device)
    before = await contents(db)

    for flags in (USUAL, USUAL & ~BACKED_UP, PRESENT | VERIFIED | BACKED_UP):
        answer = await passkeys.sign_in(api, replace(device, flags=flags))
        assert answer["__typename"] == "PasskeyRefused"

    after = await contents(db)
    assert len(after.pop(USED)) == len(before.pop(USED)) + 3
    assert after == before
    assert (await passkeys.sign_in(api, device))["__typename"] == "SignedIn"


async def test_signed_authenticator_data_with_more_in_it_is_refused(
    api: Api, db: Database, device: SoftwareAuthenticator
) -> None:
    credential = device.credentials[0]
    attested = bytes(16) + len(credential.id).to_bytes(2, "big") + credential.id
    extensions = device.data(credential, EXTENSIONS)
    usual = device.data(credential)
    datas = {
        "a key": device.data(credential, ATTESTED) + attested + credential.cose_key + b"\x00",
        "a key without flag": usual + attested + credential.cose_key,
        "extensions without flag": usual + cbor2.dumps({}),
        "a list of extensions": extensions + cbor2.dumps([]),
        "bytes after the extensions": extensions + cbor2.dumps({}) + b"\x00",
        "one byte": usual + b"\x00",
        "too short": usual[:36],
        "much too short": b"\x00",
    }
    async with closed_door(api, db, device) as door:
        for name, data in datas.items():
            begun = await passkeys.begin_sign_in(api)
            client = device.client("get", begun["publicKey"]["challenge"])
            signed = device.assertion(credential, data, client)
            await door.sign_in(name, begun["ceremony"], signed)


async def test_passkeys_of_others_and_unknown_ones_are_refused(
    api: Api, db: Database, eves: SoftwareAuthenticator, device: SoftwareAuthenticator
) -> None:
    """Each with a valid signature of some key, and for a ceremony of its own."""
    ours, theirs = device.credentials[0], eves.credentials[0]
    response: Mapping[str, Callable[[Json], Json]] = {
        "no handle": lambda sent: sent.pop("userHandle") and sent,
        "null as the handle": lambda sent: {**sent, "userHandle": None},
        "an empty handle": lambda sent: {**sent, "userHandle": ""},
        "a handle of another user": lambda sent: {**sent, "userHandle": encode(theirs.user_handle)},
        "a handle of nobody": lambda sent: {**sent, "userHandle": encode(bytes(32))},
        "part of the handle": lambda sent: {**sent, "userHandle": encode(ours.user_handle[:-1])},
        "a longer handle": lambda sent: {**sent, "userHandle": encode(ours.user_handle + b"\x00")},
        "a signature of another key": lambda sent: {**sent, "signature": encode(bytes(70))},
    }
    named: Mapping[str, Json] = {
        "a passkey of another user": {"id": encode(theirs.id), "rawId": encode(theirs.id)},
        "an unknown passkey": {"id": "AAAA", "rawId": "AAAA"},
        "two passkeys": {"rawId": encode(theirs.id)},
        "a longer id": {"id": encode(ours.id + b"\x00"), "rawId": encode(ours.id + b"\x00")},
        "part of the id": {"id": encode(ours.id[:-1]), "rawId": encode(ours.id[:-1])},
        "no id": {"id": ""},
        "another type": {"type": "password"},
    }
    async with closed_door(api, db, device) as door:
        for name, change in response.items():
            begun = await passkeys.begin_sign_in(api)
            sent = device.get(begun["publicKey"])
            changed = {**sent, "response": change(dict(sent["response"]))}
            await door.sign_in(name, begun["ceremony"], changed)
        for name, members in named.items():
            begun = await passkeys.begin_sign_in(api)
            sent = {**device.get(begun["publicKey"]), **members}
            await door.sign_in(name, begun["ceremony"], sent)


@pytest.mark.parametrize("algorithm", [EDDSA, ES256, RS256])
async def test_keys_of_other_algorithms_are_refused(
    api: Api, owner: Api, db: Database, algorithm: int
) -> None:
    device = SoftwareAuthenticator(algorithm=algorithm)
    await passkeys.register(owner, device)
    registered = device.credentials[0]
    before = await contents(db)

    for other in (EDDSA, ES256, RS256):
        forged = Credential(other, registered.user_handle, id=registered.id)
        answer = await passkeys.sign_in(api, SoftwareAuthenticator(credentials=[forged]))
        assert answer["__typename"] == "PasskeyRefused"

    after = await contents(db)
    del after[USED], before[USED]
    assert after == before


def respelled(token: str) -> Mapping[str, str]:
    """Returns a ceremony with each character changed, and in other spellings of base64."""
    changed = {
        f"character {at} changed": token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        for at in range(len(token))
    }
    cut = {f"{length} characters": token[:length] for length in (0, 1, 4, 5, len(token) - 1)}
    body = token.removeprefix("ppc_")
    standard = base64.b64encode(decode(body)).decode()
    return {
        **changed,
        **cut,
        "another alphabet": "ppc_" + (standard if standard != body else "+/" + body[2:]),
        "padded": token + "=",
        "padded more": token + "====",
        "a line more": token + "\n",
        "a space before": " " + token,
        "without its prefix": body,
        "a prefix more": "ppc_" + token,
        "another prefix": "pct_" + body,
        "in capitals": token.upper(),
        "twice": token + token,
        "a NUL": token + "\x00",
        "wide letters": "ppc_" + "".join(chr(ord(each) + 0xFEE0) for each in body),
        "long": "A" * 60_000,
    }


async def test_a_ceremony_has_one_spelling(
    api: Api, db: Database, device: SoftwareAuthenticator
) -> None:
    begun = await passkeys.begin_sign_in(api)
    credential = device.get(begun["publicKey"])

    async with closed_door(api, db, device) as door:
        for name, token in respelled(begun["ceremony"]).items():
            await door.sign_in(name, token, credential)

    # Other spellings have not used it up.
    signed_in = await passkeys.finish_sign_in(api, begun["ceremony"], credential)
    assert signed_in["__typename"] == "SignedIn"


async def test_a_ceremony_that_was_refused_is_used_up(
    api: Api, db: Database, device: SoftwareAuthenticator
) -> None:
    answers: Mapping[str, Callable[[Json], Json]] = {
        "another origin": lambda options: other_origin(device, options),
        "nothing at all": lambda _: {},
        "an unknown passkey": lambda options: {**device.get(options), "id": "AA", "rawId": "AA"},
    }
    async with closed_door(api, db, device) as door:
        for name, refused in answers.items():
            begun = await passkeys.begin_sign_in(api)
            await door.sign_in(name, begun["ceremony"], refused(begun["publicKey"]))
            right = device.get(begun["publicKey"])
            await door.sign_in(f"rightly after {name}", begun["ceremony"], right)
            await door.sign_in(f"once more after {name}", begun["ceremony"], right)


def other_origin(device: SoftwareAuthenticator, options: Json) -> Json:
    return replace(device, origin="https://evil.com").get(options)


async def test_expired_ceremonies_and_those_of_other_servers_are_refused(
    api: Api, db: Database, clock: FakeClock, device: SoftwareAuthenticator
) -> None:
    purpose, other_server = CeremonyPurpose.SIGN_IN, Ceremonies((bytes(32),))
    foreign = other_server.make(purpose, b"", clock())
    begun = await passkeys.begin_sign_in(api)
    expired = device.get(begun["publicKey"])
    clock.pass_(minutes=5)

    async with closed_door(api, db, device) as door:
        await door.sign_in("expired", begun["ceremony"], expired)
        options = {**begun["publicKey"], "challenge": encode(foreign.challenge)}
        await door.sign_in("foreign", foreign.token, device.get(options))
        # A challenge of somebody else, in client data that is right otherwise.
        for name in ("a challenge of another ceremony", "and again"):
            first, second = [await passkeys.begin_sign_in(api) for _ in range(2)]
            await door.sign_in(name, first["ceremony"], device.get(second["publicKey"]))


async def test_a_ceremony_lasts_five_minutes(
    api: Api, clock: FakeClock, device: SoftwareAuthenticator
) -> None:
    begun = await passkeys.begin_sign_in(api)
    clock.pass_(minutes=4, seconds=55)

    answer = await passkeys.finish_sign_in(api, begun["ceremony"], device.get(begun["publicKey"]))

    assert answer["__typename"] == "SignedIn"


async def test_both_forms_of_a_signature_are_one_use(
    api: Api, db: Database, device: SoftwareAuthenticator
) -> None:
    """Of an ECDSA signature (r, s), (r, n - s) is valid for the same bytes."""
    begun = await passkeys.begin_sign_in(api)
    sent = device.get(begun["publicKey"])
    r, s = decode_dss_signature(decode(sent["response"]["signature"]))
    other = encode(encode_dss_signature(r, P256_ORDER - s))
    mirrored = {**sent, "response": {**sent["response"], "signature": other}}
    assert (await passkeys.finish_sign_in(api, begun["ceremony"], mirrored))["session"]

    async with closed_door(api, db, device, used_before=1) as door:
        await door.sign_in("the first form", begun["ceremony"], sent)


async def test_the_same_answer_from_another_client_is_refused(
    api: Api, db: Database, device: SoftwareAuthenticator
) -> None:
    begun = await passkeys.begin_sign_in(api)
    sent = device.get(begun["publicKey"])
    assert (await passkeys.finish_sign_in(api, begun["ceremony"], sent))["session"]

    async with closed_door(api.of_program("a thief"), db, device, used_before=1) as door:
        await door.sign_in("another program", begun["ceremony"], sent)


class Begun(NamedTuple):
    """A ceremony, its options, and where it was begun."""

    purpose: str
    ceremony: str
    options: Json


async def challenge_of(api: Api, person: Person) -> str:
    login = (await api(factors.LOGIN, input=person.credentials))["login"]
    return login["challenge"]["token"]


async def begin_everywhere(api: Api, client: Api, challenge: str) -> list[Begun]:
    """Begin a ceremony for each purpose."""
    registration = (await client(passkeys.BEGIN_REGISTRATION))["beginPasskeyRegistration"]
    step_up = (await client(passkeys.BEGIN_STEP_UP))["beginPasskeyStepUp"]
    challenged = (await api(passkeys.BEGIN_CHALLENGE, token=challenge))["beginPasskeyChallenge"]
    begun = {
        "register": registration,
        "sign in": await passkeys.begin_sign_in(api),
        "challenge": challenged,
        "step up": step_up,
    }
    return [Begun(name, each["ceremony"], each["publicKey"]) for name, each in begun.items()]


async def use(
    purpose: str, given: Begun, api: Api, client: Api, challenge: str, device: SoftwareAuthenticator
) -> str:
    """Use a ceremony for a purpose, and return what the answer is."""
    options: Json = {**given.options, "allowCredentials": []}
    if purpose == "register":
        options |= {"excludeCredentials": [], "user": {"id": encode(bytes(32))}}
        sent: Json = {"ceremony": given.ceremony, "credential": replace(device).create(options)}
        return await typename(client, passkeys.FINISH_REGISTRATION, input=sent)
    answer = {"ceremony": given.ceremony, "credential": device.get(options)}
    if purpose == "sign in":
        return await typename(api, passkeys.SIGN_IN, input=answer)
    if purpose == "step up":
        return await typename(client, factors.STEP_UP, answer={"passkey": answer})
    return await typename(
        api, factors.ANSWER, input={"token": challenge, "answer": {"passkey": answer}}
    )


async def typename(client: Api, document: str, **variables: object) -> str:
    data = await client(document, **variables)
    [answer] = data.values()
    return answer["__typename"]


PURPOSES = ("register", "sign in", "challenge", "step up")
DONE = ("FactorAdded", "SignedIn", "SignedIn", "SteppedUp")


async def test_a_ceremony_works_for_what_it_was_begun_for_only(
    api: Api, db: Database, ada: Person, owner: Api, device: SoftwareAuthenticator
) -> None:
    challenge = await challenge_of(api, ada)
    before = await lasting(db)

    answers = {
        (begun.purpose, purpose): await use(
            purpose,
            begun,
            api,
            owner,
            challenge,
            SoftwareAuthenticator(credentials=[*device.credentials]),
        )
        for purpose in PURPOSES
        for begun in await begin_everywhere(api, owner, challenge)
        if purpose != begun.purpose
    }

    assert len(answers) == 12
    assert set(answers.values()) == {"PasskeyRefused"}
    assert await lasting(db) == before
    # Each works for its own.
    begun = await begin_everywhere(api, owner, challenge)
    done = [
        await use(each.purpose, each, api, owner, challenge, replace(device)) for each in begun[1:]
    ]
    assert tuple(done) == DONE[1:]


async def test_a_ceremony_works_where_it_was_begun_only(
    api: Api, db: Database, ada: Person, owner: Api, device: SoftwareAuthenticator
) -> None:
    """In the session or for the challenge, also if others are of the same user."""
    challenges = [await challenge_of(api, ada) for _ in range(2)]
    signed_in = await passkeys.sign_in(api, device)
    other = api.with_bearer(signed_in["tokens"]["accessToken"])
    before = await lasting(db)

    begun = await begin_everywhere(api, other, challenges[0])
    of_sessions = [each for each in begun if each.purpose != "sign in"]
    answers = [
        await use(
            each.purpose,
            each,
            api,
            owner,
            challenges[1],
            SoftwareAuthenticator(credentials=[*device.credentials]),
        )
        for each in of_sessions
    ]

    assert answers == ["PasskeyRefused"] * 3
    assert await lasting(db) == before


async def lasting(db: Database) -> Json:
    """Returns all rows, but those that say what was refused."""
    tables: Json = {**await contents(db)}
    del tables[USED]
    return {name: rows for name, rows in tables.items() if not name.startswith("audit_")}


async def test_a_passkey_of_another_user_answers_no_challenge_and_steps_up_nobody(
    api: Api,
    db: Database,
    ada: Person,
    owner: Api,
    device: SoftwareAuthenticator,
    eves: SoftwareAuthenticator,
) -> None:
    """With a valid signature for the ceremony, with and without the handle of its user."""
    challenge = await challenge_of(api, ada)
    before = await lasting(db)

    for claimed in (eves.credentials[0].user_handle, device.credentials[0].user_handle, b""):
        answers = [
            await use(each.purpose, each, api, owner, challenge, claiming(eves, claimed))
            for each in await begin_everywhere(api, owner, challenge)
            if each.purpose in {"challenge", "step up"}
        ]
        assert answers == ["PasskeyRefused"] * 2

    assert await lasting(db) == before


def claiming(device: SoftwareAuthenticator, handle: bytes) -> SoftwareAuthenticator:
    """Returns an authenticator with the same passkey, which says that it is of another user."""
    made = copy(device.credentials[0])
    made.user_handle = handle
    return SoftwareAuthenticator(credentials=[made])
