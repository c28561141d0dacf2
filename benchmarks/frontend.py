"""Portico under the load of a frontend: a mix of operations, and most of them alone."""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
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
ORDER_SEED = 18
LEGEND = (
    "Each operation alone, then the mix. CPU is user and system time of the server's process for "
    "a request; busy is the share of its one core that it used. Where it is low, the server "
    "waited for PostgreSQL, which shares the other core with the load."
)


@dataclass(frozen=True)
class Person:
    """A member, and the administrator who lists users at the same time."""

    number: int
    session: SignedIn
    administrator: SignedIn


@dataclass(frozen=True)
class Part:
    """How often one person sends an operation in a quarter of an hour, and why."""

    name: str
    times: int
    why: str
    request: Callable[[Person, int], Request]

    def requests(self, people: Iterable[Person], times: int) -> list[Request]:
        return [self.request(person, turn) for turn in range(times) for person in people]


def _me(person: Person, _turn: int) -> Request:
    return person.session.access_token, _body(ME.query)


def _include(person: Person, turn: int) -> Request:
    return person.session.access_token, _body(INCLUDE, all=(person.number + turn) % 2 == 0)


def _users(person: Person, _turn: int) -> Request:
    return person.administrator.access_token, _body(USERS.query)


def _node(person: Person, _turn: int) -> Request:
    return person.session.access_token, _body(NODE, id=person.session.user_id)


def _update_profile(person: Person, turn: int) -> Request:
    changes = {"displayName": f"Person {person.number}, {turn}"}
    return person.session.access_token, _body(UPDATE_PROFILE, input=changes)


def _refresh(person: Person, _turn: int) -> Request:
    return "", _body(REFRESH, input={"refreshToken": person.session.refresh_token})


def _body(query: str, **variables: object) -> dict[str, object]:
    return {"query": query, "variables": variables}


# The lifetime of an access token is a quarter of an hour. In it, somebody at work opens 40 views.
# Sign-ins are left out: a session lasts a month, so that there is one for thousands of these
# requests, and their password hash would hide all others. `login.py` measures them.
REFRESHES = Part("refreshSession", 1, "once in the lifetime of an access token", _refresh)
MIX = (
    Part("me", 40, "each view asks for the current user, for its header", _me),
    Part("me with @include", 10, "a component is shown with details, or without", _include),
    Part("users", 20, "every second view is a list, or its next page", _users),
    Part("node", 25, "clients fetch one object of their cache again after a change", _node),
    Part("updateProfile", 4, "few views change anything", _update_profile),
    REFRESHES,
)
MIX_NAME = "the mix"
NAMES = [*(part.name for part in MIX), MIX_NAME]
REFRESHING = {REFRESHES.name, MIX_NAME}


def main(options: argparse.Namespace) -> None:
    require_wrk()
    names = options.only or NAMES
    with stage(options.people) as set_up:
        with set_up.portico({**CHEAP_HASHES, **UNTHROTTLED}, name="portico-login") as server:
            administrators = sign_in_administrators(set_up, server, MEMBERS)
            people = _people(set_up, server, administrators)
            # A refresh token is valid once: runs that refresh begin with sessions of their own.
            turns = [
                {
                    name: _people(set_up, server, administrators) if name in REFRESHING else people
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


def _people(set_up: Stage, server: Server, administrators: Sequence[SignedIn]) -> list[Person]:
    members = sign_in(set_up, server, range(1, MEMBERS + 1))
    pairs = zip(members, administrators, strict=True)
    return [Person(number, *pair) for number, pair in enumerate(pairs, 1)]


def _measured(
    set_up: Stage,
    server: Server,
    turns: Sequence[Mapping[str, Sequence[Person]]],
    options: argparse.Namespace,
) -> Mapping[str, list[Round]]:
    rounds: dict[str, list[Round]] = {name: [] for name in turns[0]}
    people = next(iter(turns[0].values()))
    _check(server, people)
    for number, turn in enumerate(turns):
        for name, fresh in turn.items():
            file = write_requests(set_up.directory / "requests.txt", _requests(name, fresh))
            taken = _round(set_up, server, file, options)
            # The first round is the warm-up.
            if number:
                rounds[name].append(taken)
            say(
                f"{name} {number}/{options.rounds} {taken.requests_per_second:8.0f}/s"
                f" {taken.cpu_ms_per_request:7.3f} ms CPU {taken.cpu_busy:5.0%} busy"
            )
    _check(server, people)
    return rounds


def _requests(name: str, people: Sequence[Person]) -> list[Request]:
    if name != MIX_NAME:
        return [
            request for part in MIX if part.name == name for request in part.requests(people, 1)
        ]
    mixed = [request for part in MIX for request in part.requests(people, part.times)]
    return shuffled(mixed, ORDER_SEED)


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


def _check(server: Server, people: Sequence[Person]) -> None:
    """Send each operation as each person, except refreshes, whose answers are checked under load.

    Raises:
        BenchmarkFailed: an answer has errors, so its speed would mean nothing.

    """
    for part in MIX:
        if part is not REFRESHES:
            for token, body in part.requests(people, 1):
                _send(server, token, body)


def _send(server: Server, token: str, body: Mapping[str, Any]) -> None:
    data = Client(server.port, token)(body["query"], body["variables"])
    for field, value in data.items():
        if not value or value.get("__typename") == "InvalidInput":
            raise BenchmarkFailed(f"{field} answered {value}")


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
    # Each refresh needs a token that no other connection is using.
    parser.add_argument(
        "--connections", type=int, default=32, choices=range(1, MEMBERS), metavar="NUMBER"
    )
    parser.add_argument("--people", type=int, default=100_000)
    run_script(main, parser)
