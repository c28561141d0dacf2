"""New passkeys that are not quite right, through the public door.

Bytes that are no CBOR of authenticators are in tests/security/test_passkeys.py.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.databases import contents
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.cbor_attacks import BOMBS
from tests.support.passkeys import (
    ATTESTED,
    EDDSA,
    ELIGIBLE,
    ES256,
    PRESENT,
    RS256,
    USUAL,
    VERIFIED,
    Credential,
    Json,
    SoftwareAuthenticator,
    encode,
)

USED = "used_ceremonies"
REFUSED = {
    "__typename": "PasskeyRefused",
    "message": "This passkey was not accepted. Try again; if it was registered before, use it.",
}
# In seconds of this process.
AT_ONCE = 0.5
Key = dict[Any, Any]


@dataclass(slots=True)
class Forger:
    """Makes a passkey of parts that may not fit."""

    device: SoftwareAuthenticator = field(default_factory=SoftwareAuthenticator)
    credential: Credential = field(default_factory=lambda: Credential(ES256, bytes(32)))
    # Instead of the public key of the credential.
    key: bytes | None = None
    fmt: Any = "none"
    statement: Any = field(default_factory=Json)
    aaguid: bytes = bytes(16)
    # What follows the authenticator data, and the attestation object.
    more: bytes = b""
    after: bytes = b""
    # What is in the JSON, instead.
    members: Json = field(default_factory=Json)
    object_members: Json = field(default_factory=Json)

    def make(self, options: Json) -> Json:
        name = self.credential.id
        attested = self.aaguid + len(name).to_bytes(2, "big") + name
        data = self.device.data(self.credential, ATTESTED) + attested
        data += (self.credential.cose_key if self.key is None else self.key) + self.more
        client = self.device.client("create", options["challenge"])
        statement = self.statement
        if callable(statement):
            statement = statement(data + sha256(client).digest())
        made: Json = {"fmt": self.fmt, "attStmt": statement, "authData": data}
        made |= self.object_members
        sent = self.device.attestation(self.credential, data, client)
        encoded = encode(cbor2.dumps(made) + self.after)
        response = {**sent["response"], "attestationObject": encoded}
        return {**sent, "response": response, **self.members}


@pytest.fixture
async def owner(api: Api, db: Database, ada: Person) -> Api:
    await factors.verify(db, ada)
    return await api.login(ada)


async def register(owner: Api, forger: Forger) -> Json:
    begun = (await owner(passkeys.BEGIN_REGISTRATION))["beginPasskeyRegistration"]
    sent = {"ceremony": begun["ceremony"], "credential": forger.make(begun["publicKey"])}
    return (await owner(passkeys.FINISH_REGISTRATION, input=sent))["finishPasskeyRegistration"]


async def accepted(owner: Api, db: Database, forgers: Mapping[str, Forger]) -> Json:
    """Register each, and return what is not refused, is slow, or leaves something."""
    assert (await owner(passkeys.BEGIN_REGISTRATION))["beginPasskeyRegistration"]
    before, found = await contents(db), Json()
    for name, forger in forgers.items():
        began = time.process_time()
        answer = await register(owner, forger)
        took = time.process_time() - began
        if answer != REFUSED or took > AT_ONCE:
            found[name] = (answer, took)
    after = await contents(db)
    assert len(after.pop(USED)) == len(before.pop(USED)) + len(forgers)
    if not found:
        assert after == before
    return found


CERTIFICATE = b"\x30\x82\x01\x00" + bytes(256)


def self_attested(**changes: Any) -> Forger:
    """Returns a passkey whose statement is a signature with its own key."""
    credential = Credential(ES256, bytes(32))

    def statement(signed: bytes) -> Json:
        return {"alg": ES256, "sig": credential.sign(signed), **changes}

    return Forger(credential=credential, fmt="packed", statement=statement)


FORMATS: Mapping[str, Forger] = {
    "none, with a statement": Forger(statement={"sig": b"", "alg": ES256}),
    "packed, with a certificate": self_attested(x5c=[CERTIFICATE]),
    "packed, without certificates": self_attested(x5c=[]),
    "packed, with something else": self_attested(x5c="certificate"),
    "packed, with another signature": self_attested(sig=bytes(70)),
    "packed, without a signature": self_attested(sig=b""),
    "packed, with text as the signature": self_attested(sig="signature"),
    "packed, with another algorithm": self_attested(alg=RS256),
    "packed, without algorithm": self_attested(alg=None),
    "packed, with an empty statement": Forger(fmt="packed"),
    **{
        name: Forger(
            fmt=name,
            statement={
                "ver": "2.0",
                "alg": ES256,
                "sig": bytes(70),
                "x5c": [CERTIFICATE, CERTIFICATE],
                "certInfo": bytes(64),
                "pubArea": bytes(64),
                "response": b"eyJ4NWMiOltdfQ.e30.AAAA",
            },
        )
        for name in (
            "fido-u2f",
            "tpm",
            "apple",
            "android-key",
            "android-safetynet",
            "compound",
            "NONE",
            "none ",
            "",
        )
    },
    **{
        f"format {value!r}": Forger(fmt=value)
        for value in (None, 0, True, b"none", ("none",), {"none": 1})
    },
    **{f"statement {value!r}": Forger(statement=value) for value in (None, 0, True)},
}


async def test_attestations_of_others_are_refused(owner: Api, db: Database) -> None:
    assert await accepted(owner, db, FORMATS) == {}


@pytest.mark.parametrize(
    "forger",
    [
        Forger(),
        self_attested(),
        # What is in it besides is not read.
        Forger(statement={"unknown": True}),
        Forger(object_members={"unknown": [1]}),
        Forger(device=SoftwareAuthenticator(flags=PRESENT | VERIFIED)),
        Forger(credential=replace(Credential(ES256, bytes(32)), id=bytes(1023))),
        Forger(credential=replace(Credential(ES256, bytes(32)), id=bytes(16))),
    ],
)
async def test_a_passkey_without_attestation_or_with_its_own_is_accepted(
    owner: Api, forger: Forger
) -> None:
    assert (await register(owner, forger))["__typename"] == "FactorAdded"


def p384() -> Key:
    numbers = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    x, y = (number.to_bytes(48, "big") for number in (numbers.x, numbers.y))
    return {1: 2, 3: ES256, -1: 2, -2: x, -3: y}


def rsa_key(bits: int = 2048, exponent: int = 65537) -> Key:
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    n, e = numbers.public_numbers().n, exponent
    return {1: 3, 3: RS256, -1: number(n), -2: number(e)}


def number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


EC: Key = cbor2.loads(Credential(ES256, b"").cose_key)
ED: Key = cbor2.loads(Credential(EDDSA, b"").cose_key)
RSA: Key = cbor2.loads(Credential(RS256, b"").cose_key)
X25519 = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
ED448 = ed448.Ed448PrivateKey.generate().public_key().public_bytes_raw()
POINT = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)
P256 = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF


def without(key: Key, member: int) -> Key:
    return {name: value for name, value in key.items() if name != member}


ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
KEYS: Mapping[str, Any] = {
    "a point that is not on the curve": {**EC, -3: bytes(31) + b"\x01"},
    "the point at infinity": {**EC, -2: bytes(32), -3: bytes(32)},
    "coordinates beyond the prime": {**EC, -2: number(int.from_bytes(EC[-2], "big") + P256)},
    "a longer coordinate": {**EC, -2: b"\x00" + EC[-2]},
    "a shorter coordinate": {**EC, -2: EC[-2][1:]},
    "a compressed point": {**EC, -3: True},
    "text as a coordinate": {**EC, -2: "x"},
    "a number as a coordinate": {**EC, -2: 2},
    "no coordinate": {**EC, -2: b""},
    "P-384 as ES256": p384(),
    "P-384": {**p384(), 3: -35},
    "P-521": {**EC, 3: -36, -1: 3},
    "secp256k1": {**EC, 3: -47, -1: 8},
    "another curve": {**EC, -1: 2},
    "an unknown curve": {**EC, -1: 99},
    "P-256 as EdDSA": {**EC, 3: EDDSA},
    "P-256 as RS256": {**EC, 3: RS256},
    "Ed25519 as ES256": {**ED, 3: ES256},
    "Ed25519 as RS256": {**ED, 3: RS256},
    "Ed25519 with 31 bytes": {**ED, -2: bytes(31)},
    "Ed25519 with 33 bytes": {**ED, -2: bytes(33)},
    "Ed25519, the identity": {**ED, -2: b"\x01" + bytes(31)},
    "Ed25519, the identity with a sign": {**ED, -2: b"\x01" + bytes(30) + b"\x80"},
    "Ed25519, a point of order 4": {**ED, -2: bytes(32)},
    "Ed25519, a point of order 8": {**ED, -2: bytes.fromhex(ORDER_8)},
    "Ed25519, not reduced": {**ED, -2: b"\xff" * 32},
    "X25519": {**ED, -1: 4, -2: X25519},
    "Ed448": {**ED, -1: 7, -2: ED448},
    "Ed25519 by its own number": {**ED, 3: -19},
    "RSA as ES256": {**RSA, 3: ES256},
    "RSA as EdDSA": {**RSA, 3: EDDSA},
    "RSA with SHA-1": {**RSA, 3: -65535},
    "RSA with SHA-512": {**RSA, 3: -259},
    "RSA-PSS": {**RSA, 3: -37},
    "RSA of 1024 bits": rsa_key(1024),
    "RSA of 2040 bits": {**RSA, -1: RSA[-1][:255]},
    "RSA of 8192 bits": {**RSA, -1: b"\xff" * 1024},
    "RSA of 32,768 bits": {**RSA, -1: b"\xff" * 4096},
    "RSA of 4097 bits": {**RSA, -1: b"\x01" + b"\xff" * 512},
    "RSA with the exponent 1": {**RSA, -2: b"\x01"},
    "RSA with the exponent 3": {**RSA, -2: b"\x03"},
    "RSA with the exponent 0": {**RSA, -2: b"\x00"},
    "RSA with an even exponent": {**RSA, -2: b"\x01\x00\x00"},
    "RSA with a huge exponent": {**RSA, -2: b"\x7f" * 256},
    "RSA with nothing": {**RSA, -1: b""},
    "ML-DSA-44": {1: 7, 3: -48, -1: bytes(1312)},
    "ML-DSA-65": {1: 7, 3: -49, -1: bytes(1952)},
    "ML-DSA as ES256": {1: 7, 3: ES256, -1: bytes(1312)},
    "a symmetric key": {1: 4, 3: 5, -1: bytes(32)},
    "a symmetric key as ES256": {1: 4, 3: ES256, -1: bytes(32)},
    "an unknown type": {**EC, 1: 99},
    "an unknown algorithm": {**EC, 3: -9999},
    "types in words": {**ED, 1: "OKP", -1: "Ed25519"},
    "an algorithm in words": {**EC, 3: "ES256"},
    "a list of algorithms": {**EC, 3: [ES256]},
    "no algorithm": {**EC, 3: 0},
    "a key of another type": {**ED, 1: 2},
    **{
        f"{name} without {member}": without(key, member)
        for name, key in {"EC": EC, "OKP": ED, "RSA": RSA}.items()
        for member in key
    },
    "no members": {},
    "a list": [1, 2, 3],
    "text": "key",
    "nothing": None,
    "a number": 4,
}


async def test_keys_that_were_not_asked_for_are_refused(owner: Api, db: Database) -> None:
    keys = {name: Forger(key=cbor2.dumps(key)) for name, key in KEYS.items()}

    assert await accepted(owner, db, keys) == {}


RAW_KEYS: Mapping[str, bytes] = {
    "a point": POINT,
    # py_webauthn mends this one, of some authenticators, into a map of four.
    "a map of three": bytes.fromhex("a301634f4b500327206745643235353139")
    + b"\x21\x58\x20"
    + bytes(32),
    "a key twice": b"\xa6" + cbor2.dumps(EC)[1:] + b"\x03\x26",
    "a key in indefinite length": b"\xbf" + cbor2.dumps(EC)[1:] + b"\xff",
    "a key and bytes": cbor2.dumps(EC) + b"\x00",
    "two keys": cbor2.dumps(EC) * 2,
    "half a key": cbor2.dumps(EC)[:40],
    "no key": b"",
    "DER": POINT[1:],
    "8192 bytes": bytes(5000),
    "8192 lists": b"\x81" * 5000,
    "a long map": b"\xb9\xff\xff" + bytes(5000),
    **{f"with {name}": b"\xa6" + cbor2.dumps(EC)[1:] + b"\x61a" + BOMBS[name] for name in BOMBS},
}


async def test_bytes_that_are_no_key_are_refused(owner: Api, db: Database) -> None:
    keys = {name: Forger(key=key) for name, key in RAW_KEYS.items()}

    assert await accepted(owner, db, keys) == {}


def named(**members: object) -> Forger:
    return Forger(members={**members})


async def test_new_passkeys_without_what_is_needed_are_refused(owner: Api, db: Database) -> None:
    device = SoftwareAuthenticator()
    forgers = {
        "the user was not verified": Forger(replace(device, flags=USUAL & ~VERIFIED)),
        "the user was not present": Forger(replace(device, flags=USUAL & ~PRESENT)),
        "backed up, and cannot be": Forger(replace(device, flags=USUAL & ~ELIGIBLE)),
        "extensions are promised": Forger(replace(device, flags=USUAL | 0x80)),
        "for another domain": Forger(replace(device, rp_id="example.com")),
        "a page elsewhere": Forger(replace(device, origin="https://evil.com")),
        "a frame elsewhere": Forger(replace(device, client_data={"crossOrigin": True})),
        "a signature": Forger(replace(device, client_data={"type": "webauthn.get"})),
        "another challenge": Forger(replace(device, client_data={"challenge": encode(bytes(32))})),
        "bytes after the key": Forger(more=b"\x00"),
        "bytes after the object": Forger(after=b"\x00"),
        "another id": named(id="AAAA", rawId="AAAA"),
        "two ids": named(rawId="AAAA"),
        "an id of 15 bytes": Forger(credential=replace(Credential(ES256, bytes(32)), id=bytes(15))),
        "no id": Forger(credential=replace(Credential(ES256, bytes(32)), id=b"")),
        "an id of 1024 bytes": Forger(
            credential=replace(Credential(ES256, bytes(32)), id=bytes(1024))
        ),
        "an id that is longer than the data": Forger(aaguid=bytes(16) + b"\xff\xff"),
        "a short model": Forger(aaguid=bytes(15)),
        "no authenticator data": Forger(object_members={"authData": None}),
        "text as authenticator data": Forger(object_members={"authData": "x" * 200}),
        "short authenticator data": Forger(object_members={"authData": bytes(36)}),
        "authenticator data without a key": Forger(
            object_members={"authData": device.data(Credential(ES256, b""))}
        ),
        "an object of 8250 bytes": Forger(object_members={"more": bytes(8050)}),
        "nothing": named(response={}),
        "null": named(response=None),
        "a password": named(type="password"),
    }

    assert await accepted(owner, db, forgers) == {}


async def test_transports_are_those_of_the_standard(owner: Api, db: Database) -> None:
    sent: list[object] = [
        "usb",
        "evil",
        "\x00",
        "internal",
        "usb",
        1,
        None,
        {"a": []},
        ["nfc"],
        "x" * 1000,
    ]
    begun = (await owner(passkeys.BEGIN_REGISTRATION))["beginPasskeyRegistration"]
    credential = Forger().make(begun["publicKey"])
    credential["response"]["transports"] = sent

    given = {"ceremony": begun["ceremony"], "credential": credential}
    added = (await owner(passkeys.FINISH_REGISTRATION, input=given))["finishPasskeyRegistration"]

    assert added["__typename"] == "FactorAdded"
    [row] = (await contents(db))["passkeys"]
    assert json.loads(row)["transports"] == ["internal", "usb"]


async def test_a_key_may_have_other_members(owner: Api, api: Api) -> None:
    """They are stored with the key, and do not disturb later."""
    device = SoftwareAuthenticator()
    credential = Credential(ES256, bytes(32))
    key = cbor2.dumps({**cbor2.loads(credential.cose_key), 2: b"id", 4: [2], "more": None})
    begun = (await owner(passkeys.BEGIN_REGISTRATION))["beginPasskeyRegistration"]
    credential.user_handle = passkeys.decode(begun["publicKey"]["user"]["id"])
    sent = Forger(device=device, credential=credential, key=key).make(begun["publicKey"])
    given = {"ceremony": begun["ceremony"], "credential": sent}
    added = (await owner(passkeys.FINISH_REGISTRATION, input=given))["finishPasskeyRegistration"]
    assert added["__typename"] == "FactorAdded"

    device.credentials.append(credential)

    assert (await passkeys.sign_in(api, device))["__typename"] == "SignedIn"


async def test_the_id_of_a_passkey_of_another_user_is_refused(
    owner: Api, api: Api, db: Database
) -> None:
    device = SoftwareAuthenticator()
    assert (await passkeys.register(owner, device))["__typename"] == "FactorAdded"
    eve = await api.register(Person("eve@example.com", "an apple a day 42", "Eve"))
    await factors.verify(db, eve)
    same_id = replace(Credential(ES256, bytes(32)), id=device.credentials[0].id)

    refused = await accepted(await api.login(eve), db, {"the same id": Forger(credential=same_id)})

    assert refused == {}
    signed_in = await passkeys.sign_in(api, device)
    assert signed_in["user"] == {"email": "ada@example.com"}
