"""A hundred uses of one code at once, over two workers: one session."""

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
from tests.support.authenticator import ANSWER, BEGIN, CONFIRM, LOGIN, REMOVE, Authenticator
from tests.support.servers import Server, serving

# The first test includes the start of the server.
pytestmark = pytest.mark.timeout(180)
AT_ONCE = 100
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
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(limits=limits, timeout=50) as client:

            async def answer(token: str, program: str) -> dict[str, Any]:
                body = {
                    "query": ANSWER,
                    "variables": {"input": {"token": token, "answer": given}},
                }
                url, headers = f"{self.server.url}/graphql", {"user-agent": program}
                answered = await client.post(url, json=body, headers=headers)
                return answered.json()["data"]["answerChallenge"]

            # The connections are opened before.
            live = f"{self.server.url}/health/live"
            await asyncio.gather(*(client.get(live) for _ in range(AT_ONCE)))
            asked = [answer(*each) for each in zip(tokens, programs, strict=True)]
            return await asyncio.gather(*asked)

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
