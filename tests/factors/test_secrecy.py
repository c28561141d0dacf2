"""Secrets and codes of factors: where they must not be.

Logs of all tests are searched for them, too (app/testing/leaks.py).
"""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import everything
from app.testing.leaks import SECRETS
from app.testing.outbox import Outbox
from tests.cli.test_serve import send
from tests.http.test_observability import EVE, collecting
from tests.support.authenticator import (
    ANSWER,
    BEGIN,
    CONFIRM,
    LOGIN,
    RENEW,
    Authenticator,
    Enrolled,
    answer,
    enroll,
    step_up,
    verify,
)
from tests.support.servers import Server, serving

Deliver = Callable[[], Awaitable[None]]
AUDIT = text("SELECT name, ip_address, request_id, details::text FROM audit_events")
JOBS = text("SELECT entrypoint, encode(payload, 'escape'), headers::text FROM pgqueuer")
EXPORT = """
mutation ($password: String!) { exportPersonalData(input: {password: $password}) {
  ... on PersonalData { document }
} }
"""
WRONG = ("000000", "0000-0000-0000-0000")


class Seen:
    """What a person has seen and typed in the course of a test."""

    def __init__(self) -> None:
        # Long ones, which occur nowhere by chance, and codes of six digits.
        self.secrets: set[str] = set()
        self.codes: set[str] = set()

    def secrets_in(self, text: str) -> list[str]:
        return [each for each in self.secrets if each in text or each in unquote(text)]

    def found_in(self, text: str) -> list[str]:
        codes = [each for each in self.codes if re.search(rf"(?<!\d){each}(?!\d)", text)]
        return [*self.secrets_in(text), *codes]


async def use_everything(api: Api, db: Database, person: Person, clock: FakeClock) -> Seen:
    """Enroll, answer challenges rightly and wrongly in both ways, step up, and renew the codes."""
    seen = Seen()
    await verify(db, person)
    pending = await api.login(person)
    begun = (await pending(BEGIN))["beginTotpEnrollment"]
    seen.secrets |= {begun["secret"], begun["otpauthUri"]}
    other = Authenticator(begun["secret"], clock)
    await pending(CONFIRM, code=WRONG[0])
    enrolled = await enroll(api, db, person, clock)
    await use(api, enrolled, seen)
    seen.codes |= {other.code(drift) for drift in (-1, 0, 1)}
    return seen


async def use(api: Api, enrolled: Enrolled, seen: Seen) -> None:
    token = await enrolled.challenge(api)
    seen.secrets |= {token, enrolled.app.secret, *enrolled.codes}
    await answer(api, token, totp=WRONG[0])
    await answer(api, token, recoveryCode=WRONG[1])
    code = enrolled.app.next_code()
    seen.codes.add(code)
    assert (await answer(api, token, totp=code))["__typename"] == "SignedIn"
    second = await enrolled.challenge(api)
    seen.secrets.add(second)
    recovered = await answer(api, second, recoveryCode=enrolled.codes[0])
    assert recovered["__typename"] == "SignedIn"
    code = enrolled.app.next_code()
    seen.codes.add(code)
    assert await step_up(enrolled.session, totp=code) == "SteppedUp"
    renewed = (await enrolled.session(RENEW))["renewRecoveryCodes"]["codes"]
    seen.secrets |= {*renewed}
    # In the form in which they are hashed, too.
    codes = [*enrolled.codes, *renewed]
    seen.secrets |= {each.replace("-", "") for each in codes}


@pytest.fixture
async def seen(api: Api, db: Database, ada: Person, clock: FakeClock) -> Seen:
    return await use_everything(api, db, ada, clock)


async def test_the_database_has_none_in_clear(seen: Seen, db: Database) -> None:
    tables = await everything(db)

    assert tables["totp_secrets"]
    assert tables["recovery_codes"]
    assert seen.secrets_in(json.dumps(tables)) == []


async def test_events_and_jobs_name_none(
    seen: Seen, db: Database, deliver: Deliver, outbox: Outbox
) -> None:
    events = [str(value) for row in await db.rows(AUDIT) for value in row]
    jobs = [str(value) for row in await db.rows(JOBS) for value in row]
    assert events
    assert jobs
    for each in (*events, *jobs):
        assert seen.found_in(each) == []

    await deliver()

    assert outbox.messages
    for email in outbox.messages:
        assert seen.found_in(email.text) == []


async def test_an_export_says_only_that_factors_exist(
    seen: Seen, api: Api, db: Database, ada: Person, clock: FakeClock
) -> None:
    eve = await api.register(Person("eve@example.com", "an apple a day 42", "Eve"))
    enrolled = await enroll(api, db, eve, clock)

    exported = (await enrolled.session(EXPORT, password=eve.password))["exportPersonalData"]

    document = exported["document"]
    assert seen.secrets
    assert ada.email not in str(document)
    assert [sorted(each) for each in document["factors"]] == [
        ["createdAt", "id", "kind", "lastUsedAt"]
    ]
    assert [sorted(each) for each in document["recoveryCodes"]] == [["createdAt"]]
    for secret in (enrolled.app.secret, *enrolled.codes):
        assert secret not in json.dumps(document)


@pytest.mark.parametrize(
    "query",
    [
        'mutation { answerChallenge(input: {token: "%s", answer: {totp: "%s"}}) { nothing } }',
        'mutation { answerChallenge(input: {token: "%s", answer: {totp: "%s" }) { __typename } }',
        'mutation { answerChallenge(input: {token: "%s", other: "%s"}) { __typename } }',
        '{ node(id: "%s%s") { id } }',
    ],
)
async def test_errors_repeat_none(api: Api, enrolled: Enrolled, query: str) -> None:
    token, code = await enrolled.challenge(api), enrolled.app.next_code()

    await api(query % (token, code))

    assert api.errors
    assert api.last is not None
    assert token not in api.last.text
    assert code not in api.last.text


@pytest.mark.parametrize("name", ["totp", "recoveryCode"])
async def test_errors_of_variables_repeat_none(api: Api, enrolled: Enrolled, name: str) -> None:
    token = await enrolled.challenge(api)
    query = "mutation ($answer: ChallengeAnswer!) { answerChallenge(input: {token: $token}) }"
    well_formed = """
    mutation ($input: AnswerChallengeInput!) { answerChallenge(input: $input) { __typename } }
    """
    given = {"token": token, "answer": {name: ["3K7Q-8ZFM-11XV-PW0C", "482915"]}}

    for document, variables in ((query, {"answer": given}), (well_formed, {"input": given})):
        await api(document, **variables)

        assert api.errors
        assert api.last is not None
        for secret in (token, "3K7Q-8ZFM-11XV-PW0C", "482915"):
            assert secret not in api.last.text


def test_neither_logs_nor_traces_of_a_server_have_any(tmp_path: Path) -> None:
    with collecting() as collector:
        settings = {
            "LOG_FORMAT": "json",
            "FIRST_ADMIN_PASSWORD": EVE.password,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_METRICS_EXPORTER": "none",
        }
        with serving(tmp_path, **settings) as server:
            seen = use_on(server)
        # Stopping it flushes both.
        log = server.log.read_text()
        spans = [str(each) for each in collector.spans]

    assert "mutation answerChallenge" in log
    assert any("mutation answerChallenge" in each for each in spans)
    for written in (*log.splitlines(), *spans):
        assert seen.secrets_in(written) == []
        # Spans have digits of their own in times.
        assert not [each for each in seen.codes if re.search(rf"(?<![\w.]){each}\b", written)]
        assert list(SECRETS.leaks_in(written)) == []


def use_on(server: Server) -> Seen:
    """Enroll, and answer a challenge in both ways, with the address of the first administrator."""
    seen = Seen()
    bearer = send(server, LOGIN, input=EVE.credentials)["login"]["tokens"]["accessToken"]
    begun = send(server, BEGIN, bearer=bearer)["beginTotpEnrollment"]
    app = Authenticator(begun["secret"], FakeClock())
    # Each is valid now, whenever the next step begins.
    first, second = app.code(), app.code(1)
    added = send(server, CONFIRM, bearer=bearer, code=first)["confirmTotpEnrollment"]
    seen.secrets |= {begun["secret"], begun["otpauthUri"], *added["recoveryCodes"]}
    seen.codes |= {first, second}
    for given in ({"totp": second}, {"recoveryCode": added["recoveryCodes"][0]}, {"totp": first}):
        challenge = send(server, LOGIN, input=EVE.credentials)["login"]["challenge"]["token"]
        seen.secrets.add(challenge)
        send(server, ANSWER, input={"token": challenge, "answer": given})
    return seen
