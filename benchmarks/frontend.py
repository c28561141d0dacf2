"""Portico under the load of a frontend: a mix of operations, and most of them alone."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from asked import INCLUDE, NODE, REFRESH, SignedIn, sign_in, sign_in_administrators
from client import Client
from load import Round, let_rest, load, require_wrk, shuffled, write_requests
from operations import ME, USERS
from processes import BenchmarkFailed
from script import run_script
from stage import (
    CHEAP_HASHES,
    MEMBERS,
    UNTHROTTLED,
    Server,
    Stage,
    machine,
    say,
    stage,
    write_result,
)
from tables import grid, rates, report

UPDATE_PROFILE = """
mutation($input: UpdateProfileInput!) { updateProfile(input: $input) { __typename } }
"""
Request = tuple[str, dict[str, object]]
REFRESH_NAME, MIX_NAME = "refreshSession", "the mix"
ORDER_SEED = 18
LEGEND = (
    "Each operation alone, then the mix. CPU is user and system time of the server's process for "
    "a request; busy is the share of its one core that it used. Where it is low, the server "
    "waited for PostgreSQL, which shares the other core with the load."
)


@dataclass(frozen=True)
class Part:
    """How often one person sends an operation in a quarter of an hour, and why."""

    name: str
    times: int
    why: str


# The lifetime of an access token is a quarter of an hour. In it, somebody at work opens 40 views.
# Sign-ins are left out: a session lasts a month, so that there is one for thousands of these
# requests, and their password hash would hide all others. `login.py` measures them.
MIX = (
    Part("me", 40, "each view asks for the current user, for its header"),
    Part("me with @include", 10, "a component is shown with details, or without"),
    Part("users", 20, "every second view is a list, or its next page"),
    Part("node", 25, "caches of clients fetch one object again, mostly after a change"),
    Part("updateProfile", 4, "few views change anything"),
    Part(REFRESH_NAME, 1, "once in the lifetime of an access token"),
)
NAMES = [*(part.name for part in MIX), MIX_NAME]


@dataclass(frozen=True)
class People:
    """The sessions that requests are sent with. Only administrators may list users."""

    members: Sequence[SignedIn]
    administrators: Sequence[SignedIn]

    def requests(self, name: str, times: int) -> Iterable[Request]:
        """Yield an operation so many times for each member."""
        for turn in range(times):
            for number, member in enumerate(self.members):
                yield self._request(name, number, member, turn)

    def _request(self, name: str, number: int, member: SignedIn, turn: int) -> Request:
        match name:
            case "me":
                return member.access_token, _body(ME.query)
            case "me with @include":
                return member.access_token, _body(INCLUDE, all=(number + turn) % 2 == 0)
            case "users":
                reader = self.administrators[number % len(self.administrators)]
                return reader.access_token, _body(USERS.query)
            case "node":
                return member.access_token, _body(NODE, id=member.user_id)
            case "updateProfile":
                changed = {"displayName": f"Person {number}, {turn}"}
                return member.access_token, _body(UPDATE_PROFILE, input=changed)
            case _:
                return "", _body(REFRESH, input={"refreshToken": member.refresh_token})


def main(options: argparse.Namespace) -> None:
    require_wrk()
    names = options.only or NAMES
    with stage(options.people) as set_up:
        # A refresh token is valid once: each run of wrk begins with sessions of its own.
        with set_up.portico({**CHEAP_HASHES, **UNTHROTTLED}, name="portico-login") as server:
            administrators = sign_in_administrators(set_up, server, MEMBERS)
            turns = [
                {
                    name: People(sign_in(set_up, server, range(1, MEMBERS + 1)), administrators)
                    for name in names
                }
                for _ in range(options.rounds + 1)
            ]
        with set_up.portico(UNTHROTTLED) as server:
            rounds = _measured(set_up, server, turns, options)
        about = {
            **machine(set_up),
            "load": f"{options.connections} connections, {options.rounds} rounds of "
            f"{options.seconds} s each, {options.people:,} people",
        }
    text = report("Under the load of a frontend", _table(rounds), _prose(), about)
    write_result("frontend.md", text)
    print(text)


def _measured(
    set_up: Stage,
    server: Server,
    turns: Sequence[Mapping[str, People]],
    options: argparse.Namespace,
) -> Mapping[str, list[Round]]:
    rounds: dict[str, list[Round]] = {name: [] for name in turns[0]}
    someone = next(iter(turns[0].values()))
    _check(server, someone)
    for number, turn in enumerate(turns):
        for name, people in turn.items():
            file = write_requests(set_up.directory / "requests.txt", _requests(name, people))
            taken = _round(set_up, server, file, options)
            # The first round is the warm-up.
            if number:
                rounds[name].append(taken)
            say(
                f"{number}/{options.rounds} {name:18}{taken.requests_per_second:8.0f}/s"
                f" {taken.cpu_ms_per_request:7.3f} ms CPU {taken.cpu_busy:5.0%} busy"
            )
    _check(server, someone)
    return rounds


def _requests(name: str, people: People) -> list[Request]:
    if name != MIX_NAME:
        return list(people.requests(name, 1))
    every = [each for part in MIX for each in people.requests(part.name, part.times)]
    return shuffled(every, ORDER_SEED)


def _round(set_up: Stage, server: Server, file: Path, options: argparse.Namespace) -> Round:
    taken = load(
        server.port,
        server.pid,
        file,
        seconds=options.seconds,
        connections=options.connections,
        core=set_up.other_core,
    )
    let_rest(server.pid)
    return taken


def _check(server: Server, people: People) -> None:
    """Send each operation once, except the refreshes, whose answers wrk checks.

    Raises:
        BenchmarkFailed: an answer has errors, so its speed would mean nothing.

    """
    for part in MIX:
        if part.name != REFRESH_NAME:
            for token, body in people.requests(part.name, 1):
                _send(server, token, body)


def _send(server: Server, token: str, body: Mapping[str, Any]) -> None:
    data = Client(server.port, token)(body["query"], body["variables"])
    for field, value in data.items():
        if not value:
            raise BenchmarkFailed(f"{field} has no answer")


def _body(query: str, **variables: object) -> dict[str, object]:
    return {"query": query, "variables": variables}


def _table(rounds: Mapping[str, Sequence[Round]]) -> list[str]:
    times = {part.name: part.times for part in MIX}
    total = sum(times.values())
    head = ["operation", "of the mix", "requests/s", "least-greatest", "CPU ms", "busy", "p99 ms"]
    return grid(
        head,
        [
            [name, f"{times.get(name, total) / total:.0%}", *_numbers(taken)]
            for name, taken in rounds.items()
        ],
    )


def _numbers(taken: Sequence[Round]) -> list[str]:
    rate = rates(taken)
    return [
        f"{median(rate):,.0f}",
        f"{min(rate):,.0f}-{max(rate):,.0f}",
        f"{median(one.cpu_ms_per_request for one in taken):.3f}",
        f"{median(one.cpu_busy for one in taken):.0%}",
        f"{median(one.p99_ms for one in taken):.1f}",
    ]


def _prose() -> list[str]:
    reasons = [f"- {part.name}, {part.times} times: {part.why}" for part in MIX]
    return [LEGEND, "What one person's frontend sends in a quarter of an hour:", "\n".join(reasons)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--people", type=int, default=100_000)
    run_script(main, parser)
