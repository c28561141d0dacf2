"""Counts the instructions of one request, for each operation, in a server under callgrind.

The same code with the same libraries always takes nearly the same number, on a busy machine too.
`--check` fails if a number differs from the recorded one by more than 5 %, and by more than what
timers of the server take, in either direction.
`--write` records them, in the commit that changes them.
"""

import argparse
import json
import platform
import re
import sysconfig
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import requires, version
from pathlib import Path
from statistics import median
from typing import Any

from asked import Asked, all_asked, sign_in_administrators
from callgrind import Callgrind, require_valgrind, valgrind_version
from client import Client
from operations import ME, USERS
from processes import BenchmarkFailed
from script import run_script
from servers import PEERS, started
from stage import CHEAP_HASHES, RESULTS, UNTHROTTLED, Server, Stage, say, stage, write_result
from tables import grid, report

NAME = "instructions"
RECORDED = RESULTS / f"{NAME}.json"
TOLERANCE = 0.05
# Timers of the server run during any request, and more of them the slower the machine is. For the
# smallest operation alone they are more than 5 %: it was counted with 326,000 to 343,000.
TIMERS = 25_000
SESSIONS = 16
# Plans are made for the second request, and caches of the interpreter fill in the first dozen.
WARM_UP = 24
REQUESTS = 24
# Their median leaves out what is rare: periodic tasks, and full garbage collections, each of which
# costs as much as 100 requests.
SAMPLES = 5
IDLE_SECONDS = 1
# Sets of strings are otherwise in another order in each process; jobs run at any time.
FIXED = {"PYTHONHASHSEED": "0", "JOBS_WORKER": "false"}
LEGEND = (
    "Executed by the server's process outside of the kernel, for one client that sends one request "
    f"at a time. Median of {SAMPLES} samples."
)

FLOOR = next(peer for peer in PEERS if peer.name == "asgi")

Counts = dict[str, int]
Environment = Mapping[str, str]


@dataclass
class Counter:
    """Counts a server that is asked by one client, one request at a time.

    Under concurrent load, users are read from the database together, and how many at a time
    depends on the moment.
    """

    callgrind: Callgrind
    server: Server
    client: Client
    # What the server executes in a second without requests: timers, and the loop of uvicorn.
    idle: float = 0

    def measure_idle(self) -> None:
        self.idle = median(self._idle_sample() for _ in range(SAMPLES))

    def _idle_sample(self) -> float:
        self.callgrind.reset(self.server.pid)
        time.sleep(IDLE_SECONDS)
        return self.callgrind.counted(self.server.pid) / IDLE_SECONDS

    def per_request(self, asked: Asked) -> int:
        self._ask(asked, WARM_UP)
        return round(median(self._sample(asked) for _ in range(SAMPLES)))

    def _sample(self, asked: Asked) -> float:
        self.callgrind.reset(self.server.pid)
        began = time.monotonic()
        self._ask(asked, REQUESTS)
        idle = self.idle * (time.monotonic() - began)
        return (self.callgrind.counted(self.server.pid) - idle) / REQUESTS

    def _ask(self, asked: Asked, requests: int) -> None:
        for _ in range(requests):
            _, answer = self.client.send("POST", "/graphql", asked.next().decode())
            if "errors" in answer:
                raise BenchmarkFailed(f"{asked.name}: {answer['errors']}")
            asked.learn(answer["data"])


def main(options: argparse.Namespace) -> None:
    require_valgrind()
    with stage(options.people, pinned=False) as set_up:
        counts = _counts(set_up)
    environment = _environment()
    if options.write:
        _write(counts, environment)
        return
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    print("\n".join(_table(counts, recorded["instructions"])))
    for difference in _differences(environment, recorded["environment"]):
        print(f"Not comparable: {difference}")
    if options.check:
        # The floor is not Portico's, and so little that timers of uvicorn make it vary by a tenth.
        floor = counts.pop(FLOOR.label)
        say(f"Not checked: {FLOOR.label}, {floor:,}")
        recorded["instructions"].pop(FLOOR.label)
        _check(counts, recorded["instructions"])


def _counts(set_up: Stage) -> Counts:
    with set_up.portico({**CHEAP_HASHES, **UNTHROTTLED}, name="portico-login") as server:
        sessions = sign_in_administrators(set_up, server, SESSIONS)
        answer = Client(server.port, sessions[0].access_token)(ME.query)
    counts = _floor_counts(set_up, answer)
    callgrind = Callgrind(_folder(set_up, "portico"))
    settings = {**UNTHROTTLED, **FIXED}
    with set_up.portico(settings, under=callgrind.command) as server:
        client = Client(server.port, sessions[0].access_token)
        return counts | _counted(callgrind, server, client, all_asked(sessions))


def _floor_counts(set_up: Stage, answer: dict[str, Any]) -> Counts:
    """Count a bare ASGI application that answers `me` with bytes which it has already."""
    folder = _folder(set_up, "floor")
    answers = {ME.name: json.dumps({"data": answer}), USERS.name: ""}
    for name, text in answers.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    callgrind = Callgrind(folder)
    # It verifies no token.
    no_key = folder / "none"
    with started(FLOOR, set_up, no_key, folder, under=callgrind.command) as server:
        return _counted(callgrind, server, Client(server.port), [Asked(FLOOR.label, ME.query)])


def _counted(
    callgrind: Callgrind, server: Server, client: Client, operations: Iterable[Asked]
) -> Counts:
    counter = Counter(callgrind, server, client)
    callgrind.start(server.pid)
    counter.measure_idle()
    counts: dict[str, int] = {}
    for asked in operations:
        counts[asked.name] = counter.per_request(asked)
        say(f"{asked.name}: {counts[asked.name]:,} instructions")
    return counts


def _folder(set_up: Stage, name: str) -> Path:
    folder = set_up.directory / f"callgrind-{name}"
    folder.mkdir()
    return folder


def _environment() -> Environment:
    """Returns what the numbers depend on beside the code of this repository."""
    names = sorted(re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in requires("portico") or ())
    return {
        "processor": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "valgrind": valgrind_version(),
        "python": f"{platform.python_version()}, {platform.python_compiler()}, {_optimization()}",
        **{name: version(name) for name in names},
    }


def _optimization() -> str:
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return "with PGO" if "--enable-optimizations" in arguments else "without PGO"


def _differences(environment: Environment, recorded: Environment) -> list[str]:
    names = sorted({*environment, *recorded})
    return [
        f"{name} is {environment.get(name)}, the recorded numbers are of {recorded.get(name)}."
        for name in names
        if environment.get(name) != recorded.get(name)
    ]


def _table(counts: Counts, recorded: Counts) -> list[str]:
    rows = [
        [name, f"{count:,}", f"{recorded[name]:,}", f"{count / recorded[name] - 1:+.1%}"]
        if name in recorded
        else [name, f"{count:,}", "", ""]
        for name, count in counts.items()
    ]
    return grid(["operation", "instructions", "recorded", "difference"], rows)


def _check(counts: Counts, recorded: Counts) -> None:
    """Compare with the recorded numbers.

    Raises:
        BenchmarkFailed: one differs. A gain that is not recorded would hide a loss later.

    """
    if counts.keys() != recorded.keys():
        raise BenchmarkFailed("other operations are recorded: record these by --write")
    allowed = {name: max(count * TOLERANCE, TIMERS) for name, count in recorded.items()}
    slower = [name for name in counts if counts[name] > recorded[name] + allowed[name]]
    if slower:
        raise BenchmarkFailed(
            f"over {TOLERANCE:.0%} more instructions: {', '.join(slower)}. If that is worth it, "
            "record it by --write and say why in the commit"
        )
    faster = [name for name in counts if counts[name] < recorded[name] - allowed[name]]
    if faster:
        raise BenchmarkFailed(
            f"over {TOLERANCE:.0%} fewer instructions: {', '.join(faster)}. "
            "Record the gain by --write in the same commit"
        )


def _write(counts: Counts, environment: Environment) -> None:
    recorded = {"instructions": counts, "environment": environment}
    write_result(RECORDED.name, json.dumps(recorded, indent=1))
    rows = [[name, f"{count:,}"] for name, count in counts.items()]
    table = grid(["operation", "instructions"], rows)
    text = report("Instructions of a request", table, [LEGEND], environment)
    write_result(f"{NAME}.md", text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="fail if a number differs")
    choice.add_argument("--write", action="store_true", help="record the numbers")
    parser.add_argument("--people", type=int, default=1000)
    run_script(main, parser)
