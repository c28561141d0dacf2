"""What is secret about a passkey, or tells people apart: where it must not be.

Logs of all tests are searched for ceremonies, too (app/testing/leaks.py).
"""

import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.databases import everything
from app.testing.leaks import SECRETS
from app.testing.outbox import Outbox
from tests.cli.test_serve import send
from tests.factors.test_secrecy import AUDIT, JOBS
from tests.http.test_observability import collecting
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.passkeys import Json, SoftwareAuthenticator, decode
from tests.support.servers import serving

Deliver = Callable[[], Awaitable[None]]
PASSKEYS = text("SELECT credential_id, handle FROM passkeys JOIN passkey_users USING (user_id)")


class Seen:
    """What a client has sent and received: ceremonies, and all text of credentials."""

    def __init__(self) -> None:
        self.texts: set[str] = set()
        # In other forms.
        self.bytes: set[bytes] = set()

    def add(self, ceremony: str, sent: Json) -> None:
        self.texts.add(ceremony)
        for value in texts_in(sent):
            self.texts.add(value)
            self.bytes.add(decode(value))
        client_data = json.loads(decode(sent["response"]["clientDataJSON"]))
        self.texts.add(client_data["challenge"])
        self.bytes.add(decode(client_data["challenge"]))

    def found_in(self, text: str) -> list[str]:
        """Returns what is in a text, in base64 or as PostgreSQL and Python write bytes."""
        other = {form for each in self.bytes for form in (each.hex(), repr(each)[2:-1])}
        return [each for each in self.texts | other if each in text or each in unquote(text)]


def texts_in(sent: Json) -> Iterator[str]:
    """Yield what is long enough to be found by chance nowhere."""
    for value in (*sent.values(), *sent["response"].values()):
        if isinstance(value, str) and len(value) >= 20:
            yield value


async def use_everything(api: Api, db: Database, person: Person) -> Seen:
    """Register, sign in, answer a challenge and step up, and be refused each time before."""
    seen, device = Seen(), SoftwareAuthenticator()
    await factors.verify(db, person)
    owner = await api.login(person)
    for origin in ("https://evil.com", device.origin):
        begun = (await owner(passkeys.BEGIN_REGISTRATION))["beginPasskeyRegistration"]
        made = replace(device, origin=origin, credentials=[])
        created = made.create(begun["publicKey"])
        seen.add(begun["ceremony"], created)
        given = {"ceremony": begun["ceremony"], "credential": created}
        await owner(passkeys.FINISH_REGISTRATION, input=given)
    device = made
    answers: list[Json] = []
    for origin in ("https://evil.com", device.origin):
        asking = replace(device, origin=origin)
        login = (await api(factors.LOGIN, input=person.credentials))["login"]
        token = login["challenge"]["token"]
        begun = await passkeys.begin_sign_in(api)
        challenged = (await api(passkeys.BEGIN_CHALLENGE, token=token))["beginPasskeyChallenge"]
        stepping = (await owner(passkeys.BEGIN_STEP_UP))["beginPasskeyStepUp"]
        answered: list[Json] = [
            {"ceremony": each["ceremony"], "credential": asking.get(each["publicKey"])}
            for each in (begun, challenged, stepping)
        ]
        for each in answered:
            seen.add(each["ceremony"], each["credential"])
        given = {"token": token, "answer": {"passkey": answered[1]}}
        answers += [
            *(await api(passkeys.SIGN_IN, input=answered[0])).values(),
            *(await api(factors.ANSWER, input=given)).values(),
            *(await owner(factors.STEP_UP, answer={"passkey": answered[2]})).values(),
        ]
    assert [each["__typename"] for each in answers] == [
        *["PasskeyRefused"] * 3,
        "SignedIn",
        "SignedIn",
        "SteppedUp",
    ]
    return seen


async def test_neither_logs_nor_events_nor_emails_have_any(
    api: Api,
    db: Database,
    ada: Person,
    deliver: Deliver,
    outbox: Outbox,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)

    seen = await use_everything(api, db, ada)

    events = [str(value) for row in await db.rows(AUDIT) for value in row]
    jobs = [str(value) for row in await db.rows(JOBS) for value in row]
    await deliver()
    emails = [email.text for email in outbox.messages]
    # At every level, with the reasons of refusals.
    logs = [caplog.text, capfd.readouterr().err]
    assert "asked for by another origin" in caplog.text
    for written in (events, jobs, emails, logs):
        assert written
        assert seen.found_in("\n".join(written)) == []


async def test_the_database_has_no_ceremony_and_no_signature(
    api: Api, db: Database, ada: Person
) -> None:
    seen = await use_everything(api, db, ada)

    tables = await everything(db)

    assert len(tables["used_ceremonies"]) == 8
    # Both are needed to verify signatures, and to ask for passkeys.
    [(credential_id, handle)] = await db.rows(PASSKEYS)
    assert set(seen.found_in(json.dumps(tables))) == {credential_id.hex(), handle.hex()}


@pytest.mark.parametrize(
    "query",
    [
        "mutation ($input: SignInWithPasskeyInput!) { signInWithPasskey(input: $input) { none } }",
        "mutation ($input: SignInWithPasskeyInput) { signInWithPasskey(input: $input) { none } }",
        "mutation ($input: LoginInput!) { login(input: $input) { __typename } }",
        "mutation ($input: String!) { beginPasskeyChallenge(input: {token: $input}) { none } }",
        "mutation { signInWithPasskey(input: {ceremony: %s, credential: %s}) { none } }",
        "mutation { signInWithPasskey(input: {ceremony: %s, credential: {a: %s}) { __typename } }",
        "mutation { signInWithPasskey(input: {ceremony: [%s], credential: %s}) { __typename } }",
        "mutation { signInWithPasskey(input: {other: %s, credential: %s}) { __typename } }",
    ],
)
async def test_errors_repeat_none(api: Api, query: str) -> None:
    seen, begun, device = Seen(), await passkeys.begin_sign_in(api), SoftwareAuthenticator()
    device.credentials.append(passkeys.Credential(passkeys.ES256, bytes(32)))
    sent = device.get(begun["publicKey"])
    seen.add(begun["ceremony"], sent)
    if "%s" in query:
        query %= (json.dumps(begun["ceremony"]), json.dumps(sent["response"]["signature"]))

    await api(query, input={"ceremony": begun["ceremony"], "credential": sent})

    assert api.errors
    assert api.last is not None
    assert seen.found_in(api.last.text) == []


def test_neither_logs_nor_traces_of_a_server_have_any(tmp_path: Path) -> None:
    seen, device = Seen(), SoftwareAuthenticator()
    device.credentials.append(passkeys.Credential(passkeys.ES256, bytes(range(32))))
    with collecting() as collector:
        settings = {
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "DEBUG",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_METRICS_EXPORTER": "none",
        }
        with serving(tmp_path, **settings) as server:
            begun = send(server, passkeys.BEGIN_SIGN_IN)["beginPasskeySignIn"]
            # A text that no JSON can have, from a client: the log must be written all the same.
            hostile = replace(device, client_data={"type": "\ud800", "origin": "\n\ud800"})
            for asking in (device, hostile):
                sent = asking.get(begun["publicKey"])
                seen.add(begun["ceremony"], sent)
                given = {"ceremony": begun["ceremony"], "credential": sent}
                refused = send(server, passkeys.SIGN_IN, input=given)["signInWithPasskey"]
                assert refused["__typename"] == "PasskeyRefused"
        # Stopping it flushes both.
        log = server.log.read_text()
        spans = [str(each) for each in collector.spans]

    assert "A passkey was not accepted: InvalidSignature" in log
    assert any("signInWithPasskey" in each for each in spans)
    for written in (*log.splitlines(), *spans):
        assert seen.found_in(written) == []
        assert list(SECRETS.leaks_in(written)) == []
