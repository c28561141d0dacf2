"""A hundred uses of one code or passkey at once, over two workers: one session."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import pytest

from app.testing.clients import Person
from app.testing.clock import FakeClock
from tests.cli.test_serve import send
from tests.support import passkeys
from tests.support.authenticator import (
    ANSWER,
    BEGIN,
    CONFIRM,
    LOGIN,
    REMOVE,
    STEP_UP,
    Authenticator,
)
from tests.support.passkeys import Json, SoftwareAuthenticator
from tests.support.servers import Server, serving

# The first test includes the start of the server.
pytestmark = pytest.mark.timeout(180)
AT_ONCE = 100
PASSKEYS_AT_ONCE = 50
ADMIN = Person("admin@example.com", "correct horse battery staple")
SESSIONS = "{ me { sessions(first: 100) { nodes { id methods } } recoveryCodesLeft } }"


@dataclass(frozen=True, slots=True)
class Account:
    """The first administrator of the server, with a factor."""

    server: Server
    bearer: str
    # Valid now, and not used yet.
    code: str
    recovery_codes: list[str]
    factor_id: str

    def challenge(self) -> str:
        return self.challenges(1)[0]

    def challenges(self, number: int) -> list[str]:
        body = {"query": LOGIN, "variables": {"input": ADMIN.credentials}}
        with httpx.Client() as client:
            url = f"{self.server.url}/graphql"
            answers = [client.post(url, json=body).json()["data"] for _ in range(number)]
        return [each["login"]["challenge"]["token"] for each in answers]

    async def answer_at_once(
        self, tokens: Sequence[str], programs: Sequence[str], **given: str
    ) -> list[dict[str, Any]]:
        """Answer these challenges at once, each by a program on a connection of its own."""
        inputs = [{"token": each, "answer": given} for each in tokens]
        answers = await self.send_at_once(ANSWER, inputs, programs)
        return [each["data"]["answerChallenge"] for each in answers]

    async def send_at_once(
        self, query: str, inputs: Sequence[Json], programs: Sequence[str], bearer: str = ""
    ) -> list[Json]:
        """Send a mutation with each of these inputs at once, by a program of its own."""
        limits = httpx.Limits(max_connections=AT_ONCE)
        authorization = {"authorization": f"Bearer {bearer}"} if bearer else {}
        async with httpx.AsyncClient(limits=limits, timeout=50) as client:

            async def ask(given: Json, program: str) -> Json:
                body = {"query": query, "variables": {"input": given}}
                headers = {"user-agent": program} | authorization
                url = f"{self.server.url}/graphql"
                return (await client.post(url, json=body, headers=headers)).json()

            # The connections are opened before.
            live = f"{self.server.url}/health/live"
            await asyncio.gather(*(client.get(live) for _ in range(AT_ONCE)))
            return await asyncio.gather(*map(ask, inputs, programs))

    def seen(self) -> dict[str, Any]:
        return send(self.server, SESSIONS, bearer=self.bearer)["me"]

    def sessions(self) -> set[str]:
        return {each["id"] for each in self.seen()["sessions"]["nodes"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"FIRST_ADMIN_PASSWORD": ADMIN.password, "THROTTLE_SCALE": "1000"}
    with serving(tmp_path_factory.mktemp("two"), "--workers", "2", **settings) as running:
        yield running


@pytest.fixture
def account(server: Server) -> Iterator[Account]:
    data = send(server, LOGIN, input=ADMIN.credentials)
    bearer = data["login"]["tokens"]["accessToken"]
    app = Authenticator(send(server, BEGIN, bearer=bearer)["beginTotpEnrollment"]["secret"], NOW)
    # Both are valid, also if the next step begins meanwhile.
    first, second = app.code(), app.code(1)
    added = send(server, CONFIRM, bearer=bearer, code=first)["confirmTotpEnrollment"]
    factor_id = added["factor"]["id"]
    yield Account(server, bearer, second, added["recoveryCodes"], factor_id)
    send(server, REMOVE, bearer=bearer, id=factor_id)


@pytest.fixture
def device(account: Account) -> Iterator[SoftwareAuthenticator]:
    """An authenticator with a passkey of the account."""
    made = SoftwareAuthenticator(origin=f"http://localhost:{account.server.port}")
    sent = registration(account, made)
    added = send(account.server, passkeys.FINISH_REGISTRATION, bearer=account.bearer, input=sent)
    factor_id = added["finishPasskeyRegistration"]["factor"]["id"]
    yield made
    send(account.server, REMOVE, bearer=account.bearer, id=factor_id)


def registration(account: Account, device: SoftwareAuthenticator) -> Json:
    """Returns what finishes a registration."""
    begun = send(account.server, passkeys.BEGIN_REGISTRATION, bearer=account.bearer)
    options = begun["beginPasskeyRegistration"]
    created = device.create(options["publicKey"])
    return {"ceremony": options["ceremony"], "credential": created}


def assertion(account: Account, device: SoftwareAuthenticator) -> Json:
    """Returns what signs in."""
    begun = send(account.server, passkeys.BEGIN_SIGN_IN)["beginPasskeySignIn"]
    return {"ceremony": begun["ceremony"], "credential": device.get(begun["publicKey"])}


NOW = FakeClock()
ONE_PROGRAM = ["laptop"] * AT_ONCE
MANY_PROGRAMS = [f"program {number}" for number in range(AT_ONCE)]


def counted(answers: Sequence[dict[str, Any]]) -> dict[str, int]:
    kinds = [each["__typename"] for each in answers]
    return {kind: kinds.count(kind) for kind in kinds}


async def test_one_code_and_one_challenge_start_one_session(account: Account) -> None:
    before, token = account.sessions(), account.challenge()

    answers = await account.answer_at_once([token] * AT_ONCE, ONE_PROGRAM, totp=account.code)

    assert counted(answers) == {"SignedIn": AT_ONCE}
    # The same client gets the same session again.
    assert all(one["session"] == other["session"] for one, other in pairwise(answers))
    assert account.sessions() - before == {answers[0]["session"]["id"]}


async def test_of_a_hundred_clients_one_gets_the_session(account: Account) -> None:
    before, token = account.sessions(), account.challenge()

    answers = await account.answer_at_once([token] * AT_ONCE, MANY_PROGRAMS, totp=account.code)

    assert counted(answers) == {"SignedIn": 1, "ChallengeExpired": AT_ONCE - 1}
    assert len(account.sessions() - before) == 1


async def test_one_code_answers_one_of_a_hundred_challenges(account: Account) -> None:
    before, tokens = account.sessions(), account.challenges(AT_ONCE)

    answers = await account.answer_at_once(tokens, ONE_PROGRAM, totp=account.code)

    assert counted(answers) == {"SignedIn": 1, "InvalidCode": AT_ONCE - 1}
    assert len(account.sessions() - before) == 1


async def test_one_recovery_code_answers_one_of_a_hundred_challenges(account: Account) -> None:
    before, tokens = account.sessions(), account.challenges(AT_ONCE)
    code = account.recovery_codes[0]

    answers = await account.answer_at_once(tokens, ONE_PROGRAM, recoveryCode=code)

    assert counted(answers) == {"SignedIn": 1, "InvalidCode": AT_ONCE - 1}
    assert len(account.sessions() - before) == 1
    assert account.seen()["recoveryCodesLeft"] == 9


class TestAPasskey:
    async def test_used_once_by_one_client_starts_one_session(
        self, account: Account, device: SoftwareAuthenticator
    ) -> None:
        before, sent = account.sessions(), assertion(account, device)

        asked = account.send_at_once(passkeys.SIGN_IN, [sent] * PASSKEYS_AT_ONCE, ONE_PROGRAM)
        answers = [each["data"]["signInWithPasskey"] for each in await asked]

        assert counted(answers) == {"SignedIn": PASSKEYS_AT_ONCE}
        ids = {each["session"]["id"] for each in answers}
        assert account.sessions() - before == ids
        assert len(ids) == 1

    async def test_used_once_by_many_clients_starts_one_session(
        self, account: Account, device: SoftwareAuthenticator
    ) -> None:
        before, sent = account.sessions(), assertion(account, device)

        asked = account.send_at_once(passkeys.SIGN_IN, [sent] * PASSKEYS_AT_ONCE, MANY_PROGRAMS)
        answers = [each["data"]["signInWithPasskey"] for each in await asked]

        assert counted(answers) == {"SignedIn": 1, "PasskeyRefused": PASSKEYS_AT_ONCE - 1}
        assert len(account.sessions() - before) == 1

    async def test_that_counts_is_used_with_one_count_once(
        self, account: Account, device: SoftwareAuthenticator
    ) -> None:
        """In ceremonies of their own: each of a clone and of the passkey."""
        device.credentials[0].counter = 7
        before = account.sessions()
        sent = [assertion(account, device) for _ in range(10)]

        asked = account.send_at_once(passkeys.SIGN_IN, sent, MANY_PROGRAMS)
        answers = [each["data"]["signInWithPasskey"] for each in await asked]

        assert counted(answers) == {"SignedIn": 1, "PasskeyRefused": 9}
        assert len(account.sessions() - before) == 1
        # After a copy, every session has to step up before it removes a factor.
        stepped = send(
            account.server, STEP_UP, bearer=account.bearer, answer={"totp": account.code}
        )
        assert stepped["stepUp"]["__typename"] == "SteppedUp"

    async def test_is_registered_once(self, account: Account) -> None:
        device = SoftwareAuthenticator(origin=f"http://localhost:{account.server.port}")
        first = registration(account, device)
        begun = send(account.server, passkeys.BEGIN_REGISTRATION, bearer=account.bearer)
        second = begun["beginPasskeyRegistration"]
        again = attested_again(device, second["publicKey"]["challenge"])
        inputs = [first, {"ceremony": second["ceremony"], "credential": again}]

        answers = await register_at_once(account, inputs)

        kinds = [each["__typename"] for each in answers]
        assert sorted(kinds) == ["FactorAdded", "PasskeyRefused"]
        added = next(each for each in answers if each["__typename"] == "FactorAdded")
        send(account.server, REMOVE, bearer=account.bearer, id=added["factor"]["id"])

    async def test_more_than_twenty_are_not_registered(self, account: Account) -> None:
        devices = [
            SoftwareAuthenticator(origin=f"http://localhost:{account.server.port}")
            for _ in range(25)
        ]
        inputs = [registration(account, each) for each in devices]

        answers = [each for each in await register_at_once(account, inputs) if each]

        assert counted(answers) == {"FactorAdded": 20}
        for each in answers:
            send(account.server, REMOVE, bearer=account.bearer, id=each["factor"]["id"])


async def register_at_once(account: Account, inputs: Sequence[Json]) -> list[Any]:
    query, programs = passkeys.FINISH_REGISTRATION, MANY_PROGRAMS
    answers = await account.send_at_once(query, inputs, programs, account.bearer)
    return [each["data"]["finishPasskeyRegistration"] for each in answers]


def attested_again(device: SoftwareAuthenticator, challenge: str) -> Json:
    """Attest the passkey that exists, as no honest authenticator does."""
    credential = device.credentials[0]
    named = device.aaguid + len(credential.id).to_bytes(2, "big") + credential.id
    data = device.data(credential, passkeys.ATTESTED) + named + credential.cose_key
    return device.attestation(credential, data, device.client("create", challenge))
