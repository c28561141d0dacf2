"""Measures how guests with new documents affect others: the latency of `me` with and without."""

import argparse
import http.client
import itertools
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from load import Round, for_each_token, load, require_wrk, write_requests
from operations import ME
from processes import BenchmarkFailed
from script import run_script
from stage import UNTHROTTLED, Server, Stage, machine, pin_this_script, say, stage, write_result
from tables import grid, report

PEOPLE = 1000
CONNECTIONS, PAUSE_MS = 32, 40
CROWD = 8
LIMIT = 2.0
WARM_UP_SECONDS = 2
FIELDS = (
    "edges { cursor node { id email displayName role isActive createdAt lastLoginAt"
    " suspension { reason until }"
    " sessions(first: 2) { nodes { id isCurrent userAgent createdAt lastUsedAt expiresAt } } } }"
)
PAGES = " ".join(f"page{number}: users(first: 10) {{ {FIELDS} }}" for number in range(6))
QUIET, ONE_GUEST, GUESTS = "quiet", "1 guest", f"{CROWD} guests"


@dataclass
class Guests:
    """Guests, each from an address of its own, that send new documents."""

    port: int
    number: int
    answered: int = 0
    waits: list[float] = field(default_factory=list)

    @contextmanager
    def under_way(self) -> Generator[None]:
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._send_until, args=(stop, number), daemon=True)
            for number in range(self.number)
        ]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            stop.set()
            for each in threads:
                each.join(20)

    def _send_until(self, stop: threading.Event, number: int) -> None:
        address = (f"127.0.0.{number + 2}", 0)
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=20, source_address=address
        )
        while not stop.is_set():
            body = json.dumps({"query": new_document()})
            began = time.perf_counter()
            connection.request("POST", "/graphql", body, {"content-type": "application/json"})
            connection.getresponse().read()
            self.waits.append((time.perf_counter() - began) * 1000)
            self.answered += 1


_numbers = itertools.count(time.time_ns())


def new_document() -> str:
    """Returns a new document of 1.4 KB, within all limits."""
    return f"query New{next(_numbers)} {{ {PAGES} }}"


@dataclass(frozen=True)
class RoundResult:
    """One round: the latency of `me`, and the answers of the guests."""

    me: Round
    documents_per_second: float = 0.0
    guest_ms: float = 0.0


def main(options: argparse.Namespace) -> None:
    require_wrk()
    with stage(PEOPLE) as set_up:
        file = _me(set_up)
        with set_up.portico(UNTHROTTLED) as server:
            pin_this_script()
            _ask(server, set_up, file, WARM_UP_SECONDS)
            rounds = [_round(server, set_up, file, options.seconds) for _ in range(options.rounds)]
        about = machine(set_up)
    text, worst = _report(rounds, options, about)
    write_result("new-documents.md", text)
    print(text)
    if worst > LIMIT:
        raise BenchmarkFailed(f"The median of `me` is {worst:.2f}x the quiet one.")


def _me(set_up: Stage) -> Path:
    with set_up.portico(UNTHROTTLED, name="portico-login") as server:
        tokens = set_up.members(server)
    return write_requests(set_up.directory / "me.txt", for_each_token(tokens, ME.query))


def _round(server: Server, set_up: Stage, file: Path, seconds: int) -> dict[str, RoundResult]:
    return {
        QUIET: RoundResult(_ask(server, set_up, file, seconds)),
        ONE_GUEST: _attacked(server, set_up, file, seconds, 1),
        GUESTS: _attacked(server, set_up, file, seconds, CROWD),
    }


def _attacked(server: Server, set_up: Stage, file: Path, seconds: int, number: int) -> RoundResult:
    guests = Guests(server.port, number)
    with guests.under_way():
        me = _ask(server, set_up, file, seconds)
        answered = guests.answered
    if not answered:
        raise BenchmarkFailed("No guest was answered.")
    return RoundResult(me, answered / seconds, median(guests.waits))


def _ask(server: Server, set_up: Stage, file: Path, seconds: int) -> Round:
    return load(
        server.port,
        server.pid,
        file,
        seconds=seconds,
        connections=CONNECTIONS,
        core=set_up.other_core,
        pause_ms=PAUSE_MS,
    )


def _report(
    rounds: list[dict[str, RoundResult]], options: argparse.Namespace, about: dict[str, str]
) -> tuple[str, float]:
    ratios = {
        name: [one[name].me.p50_ms / one[QUIET].me.p50_ms for one in rounds]
        for name in (ONE_GUEST, GUESTS)
    }
    rows = [_row(name, [one[name] for one in rounds], ratios.get(name)) for name in rounds[0]]
    worst = max(median(each) for each in ratios.values())
    verdict = (
        f"While guests send new documents of {len(new_document()):,} bytes as fast as answers come,"
        f" the median of `me` is **{median(ratios[ONE_GUEST]):.2f}x** (one guest) and"
        f" **{median(ratios[GUESTS]):.2f}x** ({CROWD} guests, each from an address of its own) the"
        f" quiet one of the same round (asked: {LIMIT:.0f} at most)."
    )
    how = (
        f"`me` comes signed in from {CONNECTIONS} connections that pause {PAUSE_MS} ms between"
        f" questions; {options.rounds} rounds of {options.seconds} s each, quiet and attacked in"
        " turn; median of the rounds, with the least and the greatest ratio."
        " `python3 -m uv run benchmarks/new_documents.py`"
    )
    head = ("me", "p50 ms", "p99 ms", "longest ms", "p50 is", "new documents/s", "guest ms")
    title = "The latency of `me` while guests send new documents"
    say(f"p50 {worst:.2f}x at worst")
    return report(title, grid(head, rows), [verdict, how], about), worst


def _row(name: str, taken: list[RoundResult], ratios: list[float] | None) -> list[str]:
    cells = [
        name,
        f"{median(one.me.p50_ms for one in taken):.2f}",
        f"{median(one.me.p99_ms for one in taken):.1f}",
        f"{max(one.me.longest_ms for one in taken):.0f}",
    ]
    if ratios is None:
        return [*cells, "", "", ""]
    return [
        *cells,
        f"{median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})",
        f"{median(one.documents_per_second for one in taken):.0f}",
        f"{median(one.guest_ms for one in taken):.0f}",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    run_script(main, parser)
