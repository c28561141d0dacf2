"""Helpers for the checks of the fleet: clients, load and metrics."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self

from answers import Answer, Asker, Kind, Watch
from fleet import ADMIN, Fleet, wait_for
from load import for_each_token, write_requests
from processes import BenchmarkFailed
from simulated_users import LOGIN, ME, REFRESH, REGISTER

USERS = "{ users(first: 100) { totalCount nodes { email } } }"
# Eve signs in again and again. The sessions of Ada are to last, and one account has 100 at most.
ADA, EVE, PASSWORD = "ada@example.com", "eve@example.com", "difference engine 1"
POST = Path(__file__).parents[2] / "benchmarks" / "post.lua"
SERVICE_SECONDS = 15
WELL_SECONDS = 1
OTHER_WORKERS_SECONDS = 4
FIGURE_SECONDS = 40
MANAGEMENT_SECONDS = 10
# The pause between two requests of a connection: load without saturating two cores.
PAUSE_MS = "10"
ENOUGH = 1000
HONEST = (Kind.DONE, Kind.NOT_DONE, Kind.UNKNOWN)


class Scene:
    """A fleet, its administrator, and two users whose sessions must survive every check."""

    def __init__(self, whole: Fleet) -> None:
        self.fleet, self.began = whole, time.monotonic()
        self.root = ""
        self.sessions: list[Session] = []

    @property
    def ask(self) -> Asker:
        """Returns a client on a new connection: nginx closes one that is idle for 75 seconds."""
        return Asker(self.fleet.ports.proxy)

    def begin(self) -> None:
        """Sign all users in."""
        self.root = self.signed_in(LOGIN, ADMIN, self.fleet.password)["accessToken"]
        self.sessions = [Session(self.ask, **self.of_ada()) for _ in range(2)]

    def of_ada(self) -> dict[str, str]:
        return self.signed_in(LOGIN, ADA, PASSWORD)

    def signed_in(self, mutation: str, email: str, password: str) -> dict[str, str]:
        result = the_only(
            done(self.ask(mutation, {"input": {"email": email, "password": password}}))
        )
        same(result["__typename"], "SignedIn")
        return result["tokens"]

    def registered(self, email: str) -> dict[str, str]:
        return self.signed_in(REGISTER, email, PASSWORD)

    def people(self) -> list[str]:
        page = done(self.ask(USERS, token=self.root))["users"]
        return [each["email"] for each in page["nodes"]]

    def on_replica(self, sql: str) -> Any:
        url = self.fleet.url(user="postgres", port=self.fleet.ports.replica)
        return self.fleet.fetch(sql, url=url)[0][0]

    def replica_catches_up(self) -> None:
        position = self.fleet.fetch("SELECT pg_current_wal_lsn()::text AS at")[0]["at"]
        passed = f"SELECT pg_last_wal_replay_lsn() >= '{position}' AS passed"
        wait_for(lambda: self.on_replica(passed), seconds=20, what="the replica")

    def wait_for_replica(self, *, in_use: bool) -> float:
        """Wait until all servers read the replica, or none of their workers does.

        Returns the seconds until the metrics show it: of several workers, that of the worst.
        """
        ports = (self.fleet.ports.management_1, self.fleet.ports.management_2)
        seconds = wait_for(
            lambda: all(figure(port, "portico_replica_in_use") == in_use for port in ports),
            seconds=FIGURE_SECONDS,
            what=f"portico_replica_in_use {int(in_use)}",
        )
        if not in_use:
            # One worker of each server has noticed: the others check within two seconds.
            time.sleep(OTHER_WORKERS_SECONDS)
        return seconds

    @contextmanager
    def watched(self) -> Generator[list[Watch]]:
        """Send requests all the time, with existing sessions and for new ones."""
        writer = self.ask
        for session in self.sessions:
            session.ask = self.ask
        given = {"input": {"email": EVE, "password": PASSWORD}}
        with ExitStack() as stack:
            yield [
                stack.enter_context(Watch(ask))
                for ask in (*self.sessions, lambda: writer(LOGIN, given))
            ]

    def survives(self, what: str, fault: Callable[[], object]) -> None:
        """Inject a fault: answers state what was done, and service returns by itself afterwards.

        No session ends.
        """
        with self.watched() as watches:
            time.sleep(WELL_SECONDS)
            fault()
            wait_for(
                lambda: all(watch.is_well_for(WELL_SECONDS) for watch in watches),
                seconds=SERVICE_SECONDS,
                what=f"all well after this: {what}",
            )
        for watch in watches:
            same(watch.others(*HONEST), [])
        outage = max(watch.outage() for watch in watches)
        kinds = sum((watch.kinds() for watch in watches[1:]), watches[0].kinds())
        answers = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
        self.say(f"{what}: {outage:.1f} s without service ({answers})")

    def doctor(self) -> tuple[int, dict[str, str]]:
        """Returns the exit code of `portico doctor`, and what it found by the name of the check.

        It gets the address of the database itself, so it reports what PostgreSQL says.
        """
        replica = self.fleet.url(port=self.fleet.ports.replica)
        result = self.fleet.tried(
            "doctor", "--json", DATABASE_URL=self.fleet.url(), DATABASE_READ_URL=replica,
            DATABASE_PREPARED_STATEMENTS="true",
        )  # fmt: skip
        holds(result.stdout, f"the doctor prints something: {result.stderr}")
        return result.returncode, {
            each["name"]: f"{each['state']}: {each['text']}" for each in json.loads(result.stdout)
        }

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)


@dataclass
class Session:
    """A user who stays signed in: requests `me` and new tokens in turn."""

    ask: Asker
    accessToken: str  # noqa: N815 - as the API names it
    refreshToken: str  # noqa: N815
    _refreshes: bool = False

    def __call__(self) -> Answer:
        self._refreshes = not self._refreshes
        return self.refresh() if self._refreshes else self.ask(ME, token=self.accessToken)

    def refresh(self) -> Answer:
        answer = self.ask(REFRESH, {"input": {"refreshToken": self.refreshToken}})
        if answer.kind is not Kind.DONE:
            return answer
        result = the_only(answer.data)
        if result["__typename"] != "SignedIn":
            return replace(answer, kind=Kind.REFUSED, detail=str(result))
        self.accessToken = result["tokens"]["accessToken"]
        self.refreshToken = result["tokens"]["refreshToken"]
        return answer


class Load:
    """wrk sends `me` of several people over kept connections, until the block ends."""

    def __init__(
        self,
        whole: Fleet,
        tokens: Sequence[str],
        *,
        connections: int = 16,
        pause_ms: str = PAUSE_MS,
    ) -> None:
        requests = write_requests(whole.directory / "load.txt", for_each_token(tokens, ME))
        url = f"http://127.0.0.1:{whole.ports.proxy}"
        self._command = ["wrk", "-t1", f"-c{connections}", "-d300s", "--timeout", "20s",
                         "-s", str(POST), url, "--", str(requests), pause_ms]  # fmt: skip
        self.result: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        # It prints its result at the end.
        self._process.send_signal(signal.SIGINT)
        printed, _errors = self._process.communicate(timeout=30)
        holds("RESULT" in printed, f"wrk says how it went: {printed!r}")
        self.result = json.loads(printed.rpartition("RESULT ")[2])

    def check(self) -> None:
        """Fail unless requests were sent and all succeeded."""
        failed = self.result["refused"] + self.result["broken"]
        if failed or self.result["requests"] < ENOUGH:
            raise BenchmarkFailed(f"requests failed: {json.dumps(self.result)}")


def figure(port: int, name: str) -> float | None:
    """Returns a metric of a management address; None if there is no answer or no such metric."""
    lines = managed(port, "/metrics")[1].splitlines()
    found = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")]
    return float(found[0]) if found else None


def managed(port: int, path: str) -> tuple[int, str]:
    """Returns the status and text of a page at a management address; 0 if it does not answer."""
    connection = HTTPConnection("127.0.0.1", port, MANAGEMENT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, HTTPException):
        return 0, ""
    finally:
        connection.close()


def the_only(data: dict[str, Any]) -> dict[str, Any]:
    (result,) = data.values()
    return result


def done(answer: Answer) -> dict[str, Any]:
    if answer.kind is not Kind.DONE:
        raise BenchmarkFailed(f"{answer.kind}: {answer.detail or answer.data}")
    return answer.data


def same(found: object, expected: object) -> None:
    if found != expected:
        raise BenchmarkFailed(f"expected {expected!r}, found {found!r}")


def holds(found: object, what: str) -> None:
    if not found:
        raise BenchmarkFailed(f"not so: {what}")
