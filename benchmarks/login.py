"""Measures sign-ins per second against the rate of the hash, and their effect on other requests."""

import argparse
import itertools
import os
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from client import Client
from database import address
from load import for_each_token, load, require_wrk, write_requests
from operations import ME
from passlib.hash import bcrypt_sha256
from processes import BenchmarkFailed
from script import run_script
from stage import (
    UNTHROTTLED,
    Server,
    Stage,
    machine,
    say,
    stage,
    write_result,
)
from tables import grid, report

ROUNDS = 12
PEOPLE = 2000
WARM_UP_SECONDS = 3
CORES = os.cpu_count() or 1
CLIENTS = 8 * CORES
# Eight connections, each pausing 40 ms: some 200 requests a second, far from saturation.
CONNECTIONS, PAUSE_MS = 8, 40


class RoundResult(NamedTuple):
    bound: float
    logins: float
    quiet_p99_ms: float
    busy_p99_ms: float
    busy_longest_ms: float


class SignIns:
    """Signs in one account after the other, over several connections."""

    def __init__(self, server: Server, password: str) -> None:
        self._server, self._password = server, password
        self._numbers = itertools.cycle(range(1, PEOPLE + 1))
        self._finished: list[float] = []

    @contextmanager
    def under_way(self) -> Generator[None]:
        """Keep the hashing pool full while the block runs, then let it run empty."""
        stop = threading.Event()
        self._finished = []
        with ThreadPoolExecutor(CLIENTS) as pool:
            people = [pool.submit(self._sign_in_until, stop) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                self._until = time.perf_counter()
                stop.set()
            for person in people:
                person.result()

    def per_second(self) -> float:
        """Returns the rate while all connections were busy: from the first hashes until the end."""
        done = sorted(moment for moment in self._finished if moment <= self._until)
        if len(done) <= CORES:
            raise BenchmarkFailed("Too few sign-ins to tell a rate: give more --seconds.")
        return (len(done) - CORES) / (done[-1] - done[CORES - 1])

    def _sign_in_until(self, stop: threading.Event) -> None:
        client = Client(self._server.port)
        while not stop.is_set():
            if client.login(address(next(self._numbers)), self._password) is None:
                raise BenchmarkFailed("A correct password was refused.")
            self._finished.append(time.perf_counter())


def main(options: argparse.Namespace) -> None:
    require_wrk()
    with stage(PEOPLE, rounds=ROUNDS, pinned=False) as set_up:
        file = _me(set_up)
        with set_up.portico(UNTHROTTLED) as server:
            _round(server, set_up, file, WARM_UP_SECONDS)
            rounds = [_round(server, set_up, file, options.seconds) for _ in range(options.rounds)]
        about = machine(set_up)
    text = _report(rounds, options, about)
    write_result("login.md", text)
    print(text)


def _me(set_up: Stage) -> Path:
    with set_up.portico(UNTHROTTLED, name="portico-login") as server:
        tokens = set_up.tokens(server, range(1, CONNECTIONS + 1))
    return write_requests(set_up.directory / "me.txt", for_each_token(tokens, ME.query))


def _round(server: Server, set_up: Stage, file: Path, seconds: int) -> RoundResult:
    def p99_and_longest() -> tuple[float, float]:
        taken = load(
            server.port,
            server.pid,
            file,
            seconds=seconds,
            connections=CONNECTIONS,
            core=None,
            pause_ms=PAUSE_MS,
        )
        return taken.p99_ms, taken.longest_ms

    sign_ins = SignIns(server, set_up.password)
    bound_before = hashes_per_second(seconds / 2)
    with sign_ins.under_way():
        time.sleep(seconds)
    logins = sign_ins.per_second()
    bound_after = hashes_per_second(seconds / 2)
    quiet, _ = p99_and_longest()
    with sign_ins.under_way():
        busy, longest = p99_and_longest()
    taken = RoundResult((bound_before + bound_after) / 2, logins, quiet, busy, longest)
    say(
        f"{logins:.2f} logins/s, bound {taken.bound:.2f}; "
        f"me p99 {quiet:.1f} ms quiet, {busy:.1f} ms under sign-ins"
    )
    return taken


def hashes_per_second(seconds: float) -> float:
    """Returns cores divided by the seconds of one hash, with all cores hashing at once."""
    hasher = bcrypt_sha256.using(rounds=ROUNDS)
    began = time.perf_counter()

    def rate(_thread: int) -> float:
        hashes = 0
        elapsed = 0.0
        while elapsed < seconds:
            hasher.hash("benchmark")
            hashes, elapsed = hashes + 1, time.perf_counter() - began
        return hashes / elapsed

    with ThreadPoolExecutor(CORES) as pool:
        return sum(pool.map(rate, range(CORES)))


def _report(rounds: list[RoundResult], options: argparse.Namespace, about: dict[str, str]) -> str:
    rows = [
        [
            str(number),
            f"{one.logins:.2f}",
            f"{one.bound:.2f}",
            f"{one.logins / one.bound:.2f}x",
            f"{one.quiet_p99_ms:.1f}",
            f"{one.busy_p99_ms:.1f}",
            f"{one.busy_p99_ms / one.quiet_p99_ms:.1f}x",
            f"{one.busy_longest_ms:.0f}",
        ]
        for number, one in enumerate(rounds, 1)
    ]
    head = ("round", "logins/s", "bound/s", "of it", "me p99 quiet ms", "under sign-ins ms", "is")
    reached = median(one.logins / one.bound for one in rounds)
    slower = median(one.busy_p99_ms / one.quiet_p99_ms for one in rounds)
    verdict = (
        f"Sign-ins reach **{reached:.2f}x** the bound (asked: 0.9), which is {CORES} cores divided "
        "by the seconds of one bcrypt_sha256 hash with all cores busy, measured before and after "
        f"each round. While they saturate the hashing pool, the p99 of `me` is **{slower:.1f}x** "
        "its quiet one (asked: 5 at most, and never a second)."
    )
    how = (
        f"{CLIENTS} connections sign in without a pause; `me` comes from {CONNECTIONS} others, "
        f"some {CONNECTIONS * 1000 // PAUSE_MS} times a second; {options.seconds} s each; "
        "nothing is pinned."
    )
    table = grid((*head, "longest ms"), rows)
    return report(f"Signing in, at BCRYPT_ROUNDS={ROUNDS}", table, [verdict, how], about)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    run_script(main, parser)
