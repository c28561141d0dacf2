"""Whether the house that `deploy` describes stands: all its processes for real, on loopback.

Sign-ins through nginx and PgBouncer, pages from the replica, whose address is believed; then what
happens to all of these: a rolling restart under load, restarts of the databases, a killed worker.
"""

import argparse
import json
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from answers import Answer, Asker, Kind, Watch
from crowd import LOGIN, ME, REFRESH, REGISTER, RESET
from faults import workers_of
from fleet import ADMIN, Fleet, fleet, is_ready, wait_for
from load import for_each_token, write_requests
from processes import BenchmarkFailed
from script import run_script

USERS = "{ users(first: 100) { totalCount nodes { email } } }"
FROM = """{ auditEvents(first: 1, filter: {names: ["session.started"]}) { nodes { ipAddress } } }"""
PASSWORD = "difference engine 1"  # noqa: S105 - of nobody
POST = Path(__file__).parents[2] / "benchmarks" / "post.lua"
BOUNDS = """
SELECT name, setting FROM pg_settings
WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'jit')
"""
SERVICE_SECONDS = 15
# A pause between two requests of a connection: load, but not all that two cores can do.
PAUSE_MS = "10"
ENOUGH = 5000
PROCESSES = 3


class Checks:
    def __init__(self, whole: Fleet) -> None:
        self.fleet, self.began = whole, time.monotonic()
        self.ask = Asker(whole.ports.proxy)
        self.root = self.signed_in(LOGIN, ADMIN, whole.password)["accessToken"]

    def run(self) -> None:
        self.people_get_in()
        self.bounds_hold_behind_the_pooler()
        self.letters_leave()
        self.pages_come_from_the_replica()
        self.addresses_are_those_the_proxy_saw()
        self.a_rolling_restart_fails_no_request()
        self.a_killed_worker_is_replaced()
        self.service_returns_after("pgbouncer")
        self.service_returns_after("primary")
        self.pages_come_without_the_replica()
        self.nginx_answers_as_honestly()

    def people_get_in(self) -> None:
        tokens = self.signed_in(REGISTER, "ada@example.com", PASSWORD)
        given = {"input": {"refreshToken": tokens["refreshToken"]}}
        tokens = done(self.ask(REFRESH, given))["refreshSession"]["tokens"]
        me = done(self.ask(ME, token=tokens["accessToken"]))["me"]
        same(me, {"email": "ada@example.com"})
        self.say("register, refreshSession, login and me work through nginx and PgBouncer")

    def bounds_hold_behind_the_pooler(self) -> None:
        """PgBouncer drops what Portico asks for when it connects; its file sets it instead."""
        ports = self.fleet.ports
        for name in ("portico", "portico_read"):
            rows = self.fetched_behind(ports.pooler, name)
            same(rows, {"statement_timeout": "10000", "jit": "off",
                        "idle_in_transaction_session_timeout": "10000"})  # fmt: skip
        self.say("statement_timeout and its like hold behind PgBouncer")

    def fetched_behind(self, port: int, name: str) -> dict[str, str]:
        rows = self.fleet.fetch(BOUNDS, url=self.fleet.url(port=port, name=name))
        return {row["name"]: row["setting"] for row in rows}

    def letters_leave(self) -> None:
        done(self.ask(RESET, {"input": {"email": "ada@example.com"}}))
        worker = self.fleet["worker"]
        seconds = wait_for(
            lambda: "To: ada@example.com" in worker.logs(), seconds=40, what="a letter"
        )
        self.say(f"a letter left by `portico worker` after {seconds:.1f} s")

    def pages_come_from_the_replica(self) -> None:
        self.replica_catches_up()
        replica = self.fleet.url(user="postgres", port=self.fleet.ports.replica)
        self.fleet.fetch("SELECT pg_wal_replay_pause()::text", url=replica)
        before = self.people()
        eve = self.signed_in(REGISTER, "eve@example.com", PASSWORD)["accessToken"]
        same(done(self.ask(ME, token=eve))["me"], {"email": "eve@example.com"})
        same(self.people(), before)
        self.fleet.fetch("SELECT pg_wal_replay_resume()::text", url=replica)
        wait_for(lambda: "eve@example.com" in self.people(), seconds=10, what="eve on the replica")
        self.say("users comes from the replica; sessions and me from the primary")

    def addresses_are_those_the_proxy_saw(self) -> None:
        ports = self.fleet.ports
        spoofed = {"x-forwarded-for": "203.0.113.9, 127.0.0.1", "forwarded": "for=203.0.113.9"}
        through = Asker(ports.proxy, source="127.0.0.3")
        around = Asker(ports.portico_1, source="127.0.0.4")
        for ask, address in ((through, "127.0.0.3"), (around, "127.0.0.4")):
            given = {"input": {"email": "ada@example.com", "password": PASSWORD}}
            done(ask(LOGIN, given, headers=spoofed))
            self.replica_catches_up()
            event = done(self.ask(FROM, token=self.root))["auditEvents"]["nodes"][0]
            same(event, {"ipAddress": address})
        self.say(
            "the audit has the address that nginx saw, whatever X-Forwarded-For a client sends"
        )

    def a_rolling_restart_fails_no_request(self) -> None:
        ports = self.fleet.ports
        with Load(self.fleet, [self.root, self.somebody()]) as load:
            time.sleep(1)
            for name, port in (("portico-1", ports.portico_1), ("portico-2", ports.portico_2)):
                self.fleet[name].restart()
                # The next one goes at once: nginx must have noticed by then.
                holds(is_ready(port), f"{name} is ready")
            time.sleep(1)
        result = load.result
        failed = result["refused"] + result["broken"]
        if failed or result["requests"] < ENOUGH:
            raise BenchmarkFailed(f"the rolling restart failed requests: {json.dumps(result)}")
        self.say(
            f"a rolling restart under wrk: {result['requests']:,} requests, none failed, the"
            f" longest took {result['longest'] / 1000:.0f} ms"
        )

    def a_killed_worker_is_replaced(self) -> None:
        workers = workers_of(self.fleet)
        same(len(workers), 2)
        workers[0].kill()
        seconds = wait_for(
            lambda: len(set(workers_of(self.fleet)) - {workers[0]}) == 2,
            seconds=SERVICE_SECONDS,
            what="another worker",
        )
        wait_for(
            lambda: is_ready(self.fleet.ports.portico_2), seconds=SERVICE_SECONDS, what="readiness"
        )
        self.say(f"a killed worker was replaced after {seconds:.1f} s")

    def service_returns_after(self, name: str) -> None:
        token = self.somebody()
        reader, writer = Asker(self.fleet.ports.proxy), Asker(self.fleet.ports.proxy)
        given = {"input": {"email": "ada@example.com", "password": PASSWORD}}
        with (
            Watch(lambda: reader(ME, token=token)) as reads,
            Watch(lambda: writer(LOGIN, given)) as writes,
        ):
            time.sleep(1)
            self.fleet[name].restart()
            back = time.monotonic()
            wait_for(
                lambda: all(
                    (watch.well_since() or back + 99) < time.monotonic() - 1
                    for watch in (reads, writes)
                ),
                seconds=SERVICE_SECONDS,
                what=f"all well after {name} was restarted",
            )
        for watch in (reads, writes):
            same(watch.wrong(), [])
        outage = max(watch.outage() for watch in (reads, writes))
        kinds = reads.kinds() + writes.kinds()
        told = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
        self.say(f"{name} restarted under load: {outage:.1f} s without service ({told})")

    def pages_come_without_the_replica(self) -> None:
        self.fleet["replica"].stop(signal.SIGQUIT)
        answers = [self.ask(USERS, token=self.root) for _ in range(20)]
        for answer in answers:
            done(answer)
        waited = [answer.seconds for answer in answers if answer.seconds > 1]
        holds(len(waited) <= PROCESSES, "who asks first waits for the replica, and nobody else")
        self.say(
            f"the replica was killed: {len(waited)} of {len(answers)} pages waited for it, at most"
            f" {max(waited, default=0):.1f} s; the primary answered all"
        )

    def nginx_answers_as_honestly(self) -> None:
        same(self.ask("x" * 70_000).detail[:14], "413: b'{\"error")
        for name in ("portico-1", "portico-2"):
            self.fleet[name].stop()
        same(self.ask(ME).kind, Kind.NOT_DONE)
        self.say("without either process nginx says that nothing was done, and when to try again")

    def people(self) -> list[str]:
        page = done(self.ask(USERS, token=self.root))["users"]
        return [each["email"] for each in page["nodes"]]

    def somebody(self) -> str:
        return self.signed_in(LOGIN, "ada@example.com", PASSWORD)["accessToken"]

    def signed_in(self, mutation: str, email: str, password: str) -> dict[str, str]:
        data = done(self.ask(mutation, {"input": {"email": email, "password": password}}))
        result = next(iter(data.values()))
        same(result["__typename"], "SignedIn")
        return result["tokens"]

    def replica_catches_up(self) -> None:
        position = self.fleet.fetch("SELECT pg_current_wal_lsn()::text AS at")[0]["at"]
        passed = f"SELECT pg_last_wal_replay_lsn() >= '{position}' AS passed"
        replica = self.fleet.url(user="postgres", port=self.fleet.ports.replica)
        wait_for(
            lambda: self.fleet.fetch(passed, url=replica)[0]["passed"],
            seconds=20,
            what="the replica",
        )

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)


class Load:
    """wrk sends `me` of several people over kept connections, until the block ends."""

    def __init__(self, whole: Fleet, tokens: Sequence[str]) -> None:
        requests = write_requests(whole.directory / "load.txt", for_each_token(tokens, ME))
        url = f"http://127.0.0.1:{whole.ports.proxy}"
        self._command = ["wrk", "-t1", "-c16", "-d300s", "--timeout", "20s", "-s", str(POST),
                         url, "--", str(requests), PAUSE_MS]  # fmt: skip
        self.result: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        # It says then how it went.
        self._process.send_signal(signal.SIGINT)
        printed, _errors = self._process.communicate(timeout=30)
        holds("RESULT" in printed, f"wrk says how it went: {printed!r}")
        self.result = json.loads(printed.rpartition("RESULT ")[2])


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


def main(_options: argparse.Namespace) -> None:
    with fleet() as whole:
        Checks(whole).run()


if __name__ == "__main__":
    run_script(main, argparse.ArgumentParser(description=__doc__))
