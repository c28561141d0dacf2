"""What is accepted of passkeys, for every bit of them, and for bytes that no browser sends."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any, cast

import cbor2
import hypothesis
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import strategies as st

from app.security.authenticator_cbor import MAX_DEPTH, NotPlain, check_item
from app.security.passkey_credentials import (
    Assertion,
    Attestation,
    read_assertion,
    read_attestation,
)
from app.security.passkey_options import creation_options, request_options
from app.security.passkeys import verify_assertion, verify_attestation
from app.security.relying_party import RelyingParty
from tests.support.cbor_attacks import BOMBS, UNUSUAL
from tests.support.passkeys import (
    ATTESTED,
    EDDSA,
    ES256,
    RS256,
    Credential,
    Json,
    SoftwareAuthenticator,
    encode,
)

PARTY = RelyingParty.of("Portico", ["http://localhost:8000"], None, ())
CHALLENGE = bytes(range(32))
HANDLE = bytes(32)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
EXTENSIONS = 0x80
# In seconds. Bombs take many of them, or memory without end; what is refused takes milliseconds.
AT_ONCE = 0.5
ALGORITHMS = pytest.mark.parametrize("algorithm", [EDDSA, ES256, RS256])


@pytest.fixture
def credential() -> Credential:
    return Credential(ES256, HANDLE)


def signed(
    credential: Credential, data: bytes | None = None, client_data: bytes | None = None
) -> Assertion:
    """Returns a signature of a passkey, with other authenticator data or client data."""
    device = SoftwareAuthenticator(credentials=[credential])
    options = request_options(PARTY, CHALLENGE, [], 300)
    data = device.data(credential) if data is None else data
    client = device.client("get", options["challenge"]) if client_data is None else client_data
    signature = credential.sign(data + sha256(client).digest())
    return Assertion(credential.id, client, data, signature, credential.user_handle)


def is_accepted(assertion: Assertion, credential: Credential) -> bool:
    return verify_assertion(PARTY, assertion, credential.cose_key, CHALLENGE) is not None


def attestation(
    attestation_object: bytes | None = None, key: bytes | None = None, extensions: bytes = b""
) -> Attestation:
    """Returns a new passkey, with another attestation object, public key or extensions."""
    device, made = SoftwareAuthenticator(), Credential(ES256, HANDLE)
    options = creation_options(PARTY, CHALLENGE, (HANDLE, "ada", "Ada"), [], 300)
    flags = ATTESTED | (EXTENSIONS if extensions else 0)
    attested = bytes(16) + len(made.id).to_bytes(2, "big") + made.id
    data = device.data(made, flags) + attested + (key or made.cose_key) + extensions
    client_data = device.client("create", options["challenge"])
    read = read_attestation(device.attestation(made, data, client_data))
    assert read
    return read._replace(attestation_object=attestation_object or read.attestation_object)


def is_registered(given: Attestation) -> bool:
    return verify_attestation(PARTY, given, CHALLENGE) is not None


def with_each_bit_flipped(value: bytes) -> Iterator[bytes]:
    for bit in range(len(value) * 8):
        changed = bytearray(value)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def cut_and_extended(value: bytes) -> Iterator[bytes]:
    yield from (value[:length] for length in range(len(value)))
    yield from (value[length:] for length in range(1, len(value)))
    yield from (value + more for more in (b"\x00", b" ", b"\xff", value))
    yield b"\x00" + value


@ALGORITHMS
@pytest.mark.parametrize("part", ["client_data", "authenticator_data", "signature"])
def test_no_other_bytes_than_those_that_were_signed_are_accepted(algorithm: int, part: str) -> None:
    credential = Credential(algorithm, HANDLE)
    assertion = signed(credential)
    assert is_accepted(assertion, credential)
    value = getattr(assertion, part)

    changed = [*with_each_bit_flipped(value), *cut_and_extended(value)]
    accepted = [
        each for each in changed if is_accepted(assertion._replace(**{part: each}), credential)
    ]

    assert len(changed) > 8 * len(value)
    assert accepted == []


def test_a_signature_of_ecdsa_has_a_second_form(credential: Credential) -> None:
    """The standard allows it, so what works once must not depend on the bytes of signatures."""
    assertion = signed(credential)
    r, s = decode_dss_signature(assertion.signature)
    other = assertion._replace(signature=encode_dss_signature(r, P256_ORDER - s))

    assert other.signature != assertion.signature
    assert is_accepted(other, credential)


@pytest.mark.parametrize(
    "signature",
    [
        b"\x30\x06\x02\x01\x00\x02\x01\x00",
        b"\x30\x06\x02\x01\x01\x02\x01\x01",
        encode_dss_signature(P256_ORDER, P256_ORDER),
        encode_dss_signature(1, P256_ORDER + 1),
        b"\x30\x80\x02\x01\x01\x02\x01\x01\x00\x00",
        bytes(64),
        b"\x00",
        bytes(256),
        b"\x00\x01" + b"\xff" * 202 + bytes(52),
    ],
)
@ALGORITHMS
def test_signatures_that_fit_anything_fit_nothing(algorithm: int, signature: bytes) -> None:
    credential = Credential(algorithm, HANDLE)

    assert not is_accepted(signed(credential)._replace(signature=signature), credential)


@pytest.mark.parametrize("ours", [EDDSA, ES256, RS256])
@pytest.mark.parametrize("theirs", [EDDSA, ES256, RS256])
def test_a_signature_of_another_algorithm_is_refused(ours: int, theirs: int) -> None:
    stored, other = Credential(ours, HANDLE), Credential(theirs, HANDLE)

    assert not is_accepted(signed(other), stored)


CLIENT_DATA_CHANGES: Mapping[str, Callable[[str], bytes]] = {
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-32": lambda text: text.encode("utf-32-be"),
    "a byte order mark": lambda text: text.encode("utf-8-sig"),
    "not UTF-8": lambda text: text.encode() + b"\xff",
    "two objects": lambda text: text.encode() + b"{}",
    "a list": lambda text: b"[" + text.encode() + b"]",
    "null": lambda _: b"null",
    "4000 lists": lambda _: b"[" * 4000,
    "800 objects": lambda _: b'{"a":' * 800,
    "a long number": lambda _: b"1" * 4096,
    "not a number": lambda _: b"NaN",
}


@pytest.mark.parametrize("change", CLIENT_DATA_CHANGES)
def test_client_data_that_no_browser_writes_is_refused(credential: Credential, change: str) -> None:
    text = signed(credential).client_data.decode()
    changed = CLIENT_DATA_CHANGES[change](text)

    assert not is_accepted(signed(credential, client_data=changed), credential)


CHALLENGE_CHANGES: Mapping[str, Callable[[str], object]] = {
    "padded": lambda challenge: challenge + "=",
    "padded more": lambda challenge: challenge + "====",
    "with another character": lambda challenge: "!" + challenge,
    "on two lines": lambda challenge: challenge[:10] + "\n" + challenge[10:],
    "with a space": lambda challenge: challenge + " ",
    "with bits that decoding ignores": lambda challenge: (
        challenge[:-1] + chr(ord(challenge[-1]) + 1)
    ),
    "a list": lambda challenge: [challenge],
    "null": lambda _: None,
    "empty": lambda _: "",
}


@pytest.mark.parametrize("change", CHALLENGE_CHANGES)
def test_the_challenge_has_one_spelling(credential: Credential, change: str) -> None:
    data = json.loads(signed(credential).client_data)
    changed = CHALLENGE_CHANGES[change](data["challenge"])
    other = json.dumps({**data, "challenge": changed}).encode()

    assert not is_accepted(signed(credential, client_data=other), credential)


@pytest.mark.parametrize("name", [*BOMBS, *UNUSUAL])
@pytest.mark.parametrize("place", ["object", "statement", "key", "member", "extensions"])
def test_a_new_passkey_with_unusual_cbor_is_refused_at_once(name: str, place: str) -> None:
    item = {**BOMBS, **UNUSUAL}[name]
    given = with_cbor_at(place, item)
    assert len(given.attestation_object) <= 8192

    began = time.process_time()
    registered = is_registered(given)

    assert not registered
    assert time.process_time() - began < AT_ONCE


def with_cbor_at(place: str, item: bytes) -> Attestation:
    usual = attestation()
    decoded: Json = cbor2.loads(usual.attestation_object)
    key = Credential(ES256, HANDLE).cose_key
    # A map of five members, with another one.
    more = b"\xa6" + key[1:] + cbor2.dumps("more") + item
    match place:
        case "object":
            return attestation(item)
        case "statement":
            start = b"\xa3" + cbor2.dumps("fmt") + cbor2.dumps("none")
            data = cbor2.dumps("authData") + cbor2.dumps(decoded["authData"])
            return attestation(start + data + cbor2.dumps("attStmt") + item)
        case "key":
            return attestation(key=item)
        case "member":
            return attestation(key=more)
        case _:
            return attestation(extensions=b"\xa1" + cbor2.dumps("more") + item)


@pytest.mark.parametrize("name", [*BOMBS, *UNUSUAL])
def test_a_signature_over_unusual_cbor_is_refused_at_once(
    credential: Credential, name: str
) -> None:
    """Whoever has a passkey can sign anything with it."""
    item = {**BOMBS, **UNUSUAL}[name]
    device = SoftwareAuthenticator()
    attested = device.data(credential, ATTESTED) + bytes(18)
    extended = device.data(credential, EXTENSIONS)

    began = time.process_time()
    accepted = [
        is_accepted(signed(credential, data=each), credential)
        for each in (attested + item, extended + item, extended + b"\xa1\x00" + item)
    ]

    assert accepted == [False, False, False]
    assert time.process_time() - began < AT_ONCE


def test_authenticators_may_have_extensions(credential: Credential) -> None:
    device = SoftwareAuthenticator()
    outputs: Json = {"credProtect": 2, "hmac-secret": True, "uvm": [[2, 4, 2]], "": [None, b"", -1]}
    extended = device.data(credential, EXTENSIONS) + cbor2.dumps(outputs)

    assert is_accepted(signed(credential, data=extended), credential)
    assert is_registered(attestation(extensions=cbor2.dumps(outputs)))
    assert not is_accepted(signed(credential, data=extended + b"\x00"), credential)
    assert not is_registered(attestation(extensions=cbor2.dumps(outputs) + b"\x00"))
    assert not is_registered(attestation(extensions=cbor2.dumps([outputs])))


PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers(0, 9) | st.text(), inner),
    max_leaves=12,
)


def depth_of(item: Any) -> int:
    if isinstance(item, dict):
        item = [*cast("Json", item).values()]
    if not isinstance(item, list):
        return 0
    return 1 + max(map(depth_of, cast("list[Any]", item)), default=0)


@hypothesis.given(PLAIN)
def test_plain_cbor_is_read_to_its_end(item: Any) -> None:
    hypothesis.assume(depth_of(item) < MAX_DEPTH)
    encoded = cbor2.dumps(item)

    check_item(encoded)

    for other in (encoded[:-1], encoded + b"\x00"):
        with pytest.raises(NotPlain):
            check_item(other)


def after(first: int, items: list[bytes]) -> bytes:
    return bytes([first]) + b"".join(items)


def json_bytes(given: Any) -> bytes:
    return json.dumps(given).encode()


# Items of all kinds, heads that promise too much, and bytes.
CBOR: st.SearchStrategy[bytes] = st.recursive(
    st.binary(max_size=40)
    | st.builds(cbor2.dumps, PLAIN)
    | st.floats().map(cbor2.dumps)
    | st.sampled_from([*UNUSUAL.values()]),
    lambda inner: st.builds(
        after,
        st.integers(0, 255),
        st.lists(inner, max_size=4),
    ),
    max_leaves=8,
)
KEYS = CBOR | st.builds(
    cbor2.dumps,
    st.dictionaries(
        st.sampled_from([1, 3, -1, -2, -3]),
        st.sampled_from([1, 2, 3, 6, 7, -7, -8, -257, -47, -49, b"", bytes(32), b"\xff" * 57])
        | PLAIN,
        min_size=3,
    ),
)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
CLIENT_DATA = st.binary() | st.builds(
    json_bytes,
    st.dictionaries(
        st.sampled_from(["type", "challenge", "origin", "crossOrigin", "tokenBinding"]),
        JSON_VALUES | st.sampled_from(["webauthn.get", "http://localhost", "AAAA"]),
    )
    | JSON_VALUES,
)
SOME_MORE = hypothesis.settings(deadline=None, max_examples=100)


@SOME_MORE
@hypothesis.given(CBOR, KEYS, CBOR, CLIENT_DATA)
def test_no_bytes_of_a_new_passkey_raise_an_error(
    attestation_object: bytes, key: bytes, extensions: bytes, client_data: bytes
) -> None:
    usual = attestation()

    for given in (
        attestation(attestation_object),
        attestation(key=key),
        attestation(extensions=extensions),
        usual._replace(client_data=client_data),
        usual._replace(credential_id=extensions),
    ):
        verify_attestation(PARTY, given, CHALLENGE)

    assert is_registered(usual)


@SOME_MORE
@hypothesis.given(CBOR, KEYS, CLIENT_DATA, st.binary())
def test_no_bytes_of_a_signature_raise_an_error(
    item: bytes, key: bytes, client_data: bytes, signature: bytes
) -> None:
    credential = Credential(ES256, HANDLE)
    usual = signed(credential)
    data = SoftwareAuthenticator().data(credential, EXTENSIONS)

    assert not is_accepted(usual._replace(signature=signature), credential)
    assert not is_accepted(signed(credential, client_data=client_data), credential)
    for other in (item, usual.authenticator_data + item, data + item):
        is_accepted(signed(credential, data=other), credential)
    assert verify_assertion(PARTY, usual, key, CHALLENGE) is None

    assert is_accepted(usual, credential)


# As in JSON that a client sends, and with the names that are read.
MEMBERS = ("id", "rawId", "type", "response", "clientDataJSON", "signature", "userHandle")
CREDENTIALS = st.recursive(
    JSON_VALUES | st.sampled_from(["public-key", "AAAA", "AAB", "AA==", "+/+/", "é"]),
    lambda inner: st.dictionaries(
        st.sampled_from([*MEMBERS, "authenticatorData", "attestationObject", "transports"]), inner
    ),
)


@SOME_MORE
@hypothesis.given(CREDENTIALS)
def test_no_json_raises_an_error(given: Any) -> None:
    for read in (read_assertion, read_attestation):
        found = read(given)
        if found is not None:
            assert given["id"] == given.get("rawId", given["id"])
            assert all(found[:3])


def changed_member(name: str, value: object) -> Json:
    """Returns what a browser sends, with another value of one member of the response."""
    device, credential = SoftwareAuthenticator(), Credential(ES256, HANDLE)
    data = device.data(credential)
    sent = device.assertion(credential, data, device.client("get", "AAAA"))
    if name in sent:
        return {**sent, name: value}
    return {**sent, "response": {**sent["response"], name: value}}


NOT_TEXT: list[object] = [1, [], {}, "", True]
NOT_READ: list[tuple[str, object]] = [
    *((each, value) for each in ("signature", "userHandle") for value in NOT_TEXT),
    ("signature", None),
    ("authenticatorData", encode(bytes(4097))),
    ("id", encode(bytes(1024))),
    ("id", ""),
    ("rawId", "AAAA"),
    ("rawId", None),
    ("rawId", ["AAAA"]),
    ("type", "password"),
    ("type", ["public-key"]),
    ("response", None),
    ("response", "AAAA"),
    # No base64url of WebAuthn: padded, of another alphabet, with white space, not canonical.
    *(
        ("signature", text)
        for text in ("AA==", "AAA=", "+AAA", "/AAA", " AAAA", "AAAA\n", "AA AA", "A", "A===")
    ),
    ("signature", "AB"),
    ("signature", "AAB"),
    ("signature", "\uff21\uff21\uff21\uff21"),
    ("signature", "AAA\u0410"),
    ("signature", "AAA\x00"),
    ("signature", "AAA\ud800"),
]


@pytest.mark.parametrize(("name", "value"), NOT_READ)
def test_what_is_not_what_browsers_send_is_not_read(name: str, value: object) -> None:
    assert read_assertion(changed_member(name, value)) is None


@pytest.mark.parametrize(
    ("name", "most"), [("signature", 1024), ("userHandle", 64), ("clientDataJSON", 4096)]
)
def test_the_longest_members_are_read(name: str, most: int) -> None:
    assert read_assertion(changed_member(name, encode(bytes(most))))
    assert read_assertion(changed_member(name, encode(bytes(most + 1)))) is None
