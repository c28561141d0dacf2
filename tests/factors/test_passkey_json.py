"""The scalar JSON as an input: what a credential may be, in a document and in variables."""

import json
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.passkeys import Json, SoftwareAuthenticator

SIGN_IN = """
mutation ($input: SignInWithPasskeyInput!) { signInWithPasskey(input: $input) { __typename } }
"""
REFUSED = {"data": {"signInWithPasskey": {"__typename": "PasskeyRefused"}}}
SIGNED_IN = {"data": {"signInWithPasskey": {"__typename": "SignedIn"}}}
# What may be in a document or in variables and is no JSON, or more of it than is read.
INVALID = {"BAD_REQUEST", "BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"}


@pytest.fixture(params=["none", "all"])
async def guest(
    request: pytest.FixtureRequest, api: Api, settings: Settings, clock: FakeClock
) -> AsyncIterator[Api]:
    """A guest of a server without execution plans, and of one with them for all operations."""
    changed = {"execution_plans": request.param}
    app = create_app(settings.model_copy(update=changed), clock)
    async with app.router.lifespan_context(app), Api.of(app) as client:
        # The database is emptied after the other one.
        assert api is not client
        yield client


@pytest.fixture
async def device(api: Api, db: Database, ada: Person) -> SoftwareAuthenticator:
    await factors.verify(db, ada)
    made = SoftwareAuthenticator()
    await passkeys.register(await api.login(ada), made)
    return made


def literal(value: object) -> str:
    """Returns a value as it is written in a document."""
    if isinstance(value, dict):
        members: Json = {**value}
        return "{" + ", ".join(f"{name}: {literal(each)}" for name, each in members.items()) + "}"
    return json.dumps(value)


def document(ceremony: str, credential: str, variables: str = "") -> str:
    declared = f"({variables})" if variables else ""
    given = f"{{ceremony: {json.dumps(ceremony)}, credential: {credential}}}"
    return f"mutation {declared} {{ signInWithPasskey(input: {given}) {{ __typename }} }}"


async def post(guest: Api, content: str | bytes) -> httpx.Response:
    headers = {"content-type": "application/json"}
    return await guest.http.post("/graphql", content=content, headers=headers)


async def answer(guest: Api, query: str, **variables: object) -> Json:
    return (await post(guest, json.dumps({"query": query, "variables": variables}))).json()


async def begun(guest: Api, device: SoftwareAuthenticator) -> tuple[str, Json]:
    """Returns a ceremony, and the right answer."""
    options = await passkeys.begin_sign_in(guest)
    return options["ceremony"], device.get(options["publicKey"])


async def test_a_credential_may_be_a_variable_or_written_out(
    guest: Api, device: SoftwareAuthenticator
) -> None:
    ceremony, credential = await begun(guest, device)
    sent = {"ceremony": ceremony, "credential": credential}
    assert await answer(guest, SIGN_IN, input=sent) == SIGNED_IN

    ceremony, credential = await begun(guest, device)
    query = document(ceremony, "$credential", "$credential: JSON!")
    assert await answer(guest, query, credential=credential) == SIGNED_IN

    ceremony, credential = await begun(guest, device)
    query = document(ceremony, literal(credential))
    assert await answer(guest, query) == SIGNED_IN


async def test_a_credential_that_is_written_out_may_have_variables_in_it(
    guest: Api, device: SoftwareAuthenticator
) -> None:
    written = '{id: $id, rawId: $id, type: "public-key", response: $response}'
    for _ in range(2):
        ceremony, credential = await begun(guest, device)
        query = document(ceremony, written, "$id: String!, $response: JSON!")
        given = {"id": credential["id"], "response": credential["response"]}
        assert await answer(guest, query, **given) == SIGNED_IN

    # One more time with another value, and with none.
    ceremony, credential = await begun(guest, device)
    query = document(ceremony, written, "$id: String!, $response: JSON!")
    other = {"id": "AAAA", "response": credential["response"]}
    assert await answer(guest, query, **other) == REFUSED
    ceremony, credential = await begun(guest, device)
    query = document(ceremony, written, "$id: String, $response: JSON")
    assert await answer(guest, query, response=credential["response"]) == REFUSED


def nested(opened: str, closed: str, levels: int) -> str:
    return opened * levels + "1" + closed * levels


VALUES: Mapping[str, str] = {
    "text": '"credential"',
    "empty text": '""',
    "a number": "1",
    "a large number": "9" * 19,
    "a float": "1e308",
    "true": "true",
    "a list": "[]",
    "a list of credentials": '[{"id": "AAAA", "type": "public-key", "response": {}}]',
    "an empty object": "{}",
    "an object of Python": '{"__proto__": {"id": "AAAA"}, "__class__": "x", "constructor": 1}',
    "20 lists": nested("[", "]", 20),
    "20 objects": nested('{"id": ', "}", 20),
    "lists in the response": '{"id": "AAAA", "type": "public-key", "response": [[[]]]}',
    "a long text": json.dumps("A" * 50_000),
    "a long id": json.dumps({"id": "A" * 50_000, "type": "public-key", "response": {}}),
    "many members": json.dumps({f"a{number}": number for number in range(900)}),
    "a NUL": json.dumps({"id": "AA\x00A", "type": "public-key", "response": {}}),
    "an emoji": json.dumps({"id": "AA😀A", "type": "public-key", "response": {"😀": 1}}),
}


@pytest.mark.parametrize("name", VALUES)
async def test_any_json_is_refused_as_a_wrong_passkey_is(
    guest: Api, db: Database, device: SoftwareAuthenticator, name: str
) -> None:
    assert device
    before = await contents(db)
    ceremony = json.dumps((await passkeys.begin_sign_in(guest))["ceremony"])
    sent = f'{{"ceremony": {ceremony}, "credential": {VALUES[name]}}}'

    body = f'{{"query": {json.dumps(SIGN_IN)}, "variables": {{"input": {sent}}}}}'
    answered = await post(guest, body)

    assert answered.json() == REFUSED
    after = await contents(db)
    del before["used_ceremonies"], after["used_ceremonies"]
    assert after == before


HOSTILE_VARIABLES: Mapping[str, str] = {
    "null": "null",
    "not a number": "NaN",
    "infinity": "1e999",
    "a surrogate": r'{"id": "\ud800", "type": "public-key", "response": {}}',
    "a surrogate as a name": r'{"\udfff": 1}',
    "a member twice": '{"id": "AAAA", "id": "BBBB", "type": "public-key", "response": {}}',
    "a number of 4000 digits": "9" * 4000,
    "2000 members": json.dumps({f"a{number}": number for number in range(2000)}),
    "50 lists": nested("[", "]", 50),
    "10,000 lists": nested("[", "]", 10_000),
    "5000 objects": nested('{"a":', "}", 5000),
    "one list more than is closed": "[[]",
    "70,000 characters": json.dumps("A" * 70_000),
}


@pytest.mark.parametrize("name", HOSTILE_VARIABLES)
async def test_variables_that_are_no_json_or_too_much_are_invalid_requests(
    guest: Api, device: SoftwareAuthenticator, name: str
) -> None:
    assert device
    sent = f'{{"ceremony": "ppc_", "credential": {HOSTILE_VARIABLES[name]}}}'

    body = f'{{"query": {json.dumps(SIGN_IN)}, "variables": {{"input": {sent}}}}}'
    answered = await post(guest, body)

    assert_refused_or_invalid(answered.json())


HOSTILE_LITERALS: Mapping[str, str] = {
    "null": "null",
    "an enum": "CREDENTIAL",
    "an unknown variable": "$unknown",
    "an unknown variable in an object": "{id: $unknown}",
    "a variable of another type": "$number",
    "a list with a variable": "[$number, {a: $number}]",
    "a member twice": '{id: "AAAA", id: "BBBB"}',
    "a name of Python": '{__proto__: 1, __class__: "x"}',
    "an enum in an object": "{type: PUBLIC_KEY}",
    "a large number": "9" * 5000,
    "infinity": "1e999",
    "an escaped surrogate": r'{id: "\ud800"}',
    "a pair of surrogates": r'{id: "\ud83d\ude00"}',
    "a character beyond Unicode": r'{id: "\u{110000}"}',
    "a block": '"""credential"""',
    "200 lists": nested("[", "]", 200),
    "20,000 lists": nested("[", "]", 20_000),
    "10,000 objects": nested("{a:", "}", 10_000),
    "10,000 members": "{" + " ".join(f"a{number}: 1" for number in range(5000)) + "}",
    "a long text": json.dumps("A" * 60_000),
}


@pytest.mark.parametrize("name", HOSTILE_LITERALS)
async def test_a_literal_is_refused_or_invalid(
    guest: Api, db: Database, device: SoftwareAuthenticator, name: str
) -> None:
    assert device
    before = await contents(db)

    written = HOSTILE_LITERALS[name]
    query = document("ppc_", written, "$number: Int" if "$number" in written else "")
    answered = await answer(guest, query, number=1)

    assert_refused_or_invalid(answered)
    after = await contents(db)
    del before["used_ceremonies"], after["used_ceremonies"]
    assert after == before


def assert_refused_or_invalid(answered: Json) -> None:
    if answered != REFUSED:
        codes = {error["extensions"]["code"] for error in answered["errors"]}
        assert codes <= INVALID
        assert not answered.get("data", {}).get("signInWithPasskey")


async def test_aliases_do_not_multiply_what_one_request_tries(
    guest: Api, device: SoftwareAuthenticator
) -> None:
    """A document tests one secret, also if it is in a literal."""
    ceremony, credential = await begun(guest, device)
    field = (
        f'signInWithPasskey(input: {{ceremony: "{ceremony}", credential: {literal(credential)}}})'
    )

    answered = await answer(
        guest, f"mutation {{ a: {field} {{ __typename }} b: {field} {{ __typename }} }}"
    )

    assert [each["extensions"]["code"] for each in answered["errors"]] == [
        "GRAPHQL_VALIDATION_FAILED"
    ]
