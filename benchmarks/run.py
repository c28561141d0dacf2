"""Throughput of Portico and its peers, each on one core, on one database, in alternation."""

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import chart
import tables
from client import Client
from load import Round, for_each_token, let_rest, load, require_wrk, write_requests
from operations import (
    ME,
    OPERATIONS,
    USERS,
    Operation,
    check,
    check_answer,
    check_ended_session,
)
from script import run_script
from servers import (
    PEERS,
    PORTICO,
    Peer,
    install,
    is_floor,
    label_of,
    missing,
    peer_of,
    require,
    started,
    versions,
)
from stage import (
    CHEAP_HASHES,
    OTHER_CORE,
    SERVER_CORE,
    UNTHROTTLED,
    Server,
    Stage,
    machine,
    say,
    stage,
    write_result,
)

Rounds = dict[str, dict[str, list[Round]]]
ALL, AVAILABLE = "all", "available"
# V8 and CPython's caches need time: warm up until a run is hardly faster than the last one.
WARM_UP_SECONDS, WARM_UP_RUNS, STILL_WARMING = 3, 8, 1.05
LOGOUT = "mutation { logout { sessionsEnded } }"


@dataclass(frozen=True)
class Prepared:
    """What all servers of a run are given, and asked with."""

    tokens: Mapping[str, list[str]]
    # Valid tokens of sessions that were signed out.
    ended: Mapping[str, str]
    public_key: Path
    # The bodies of Portico's answers, one file for each operation.
    answers: Path


def main(options: argparse.Namespace) -> None:
    if not options.check:
        require_wrk()
    peers, left_out = _chosen(options)
    install(peers)
    say(f"Core {SERVER_CORE}: the server under load. Core {OTHER_CORE}: PostgreSQL and wrk.")
    with stage(options.people) as set_up, ExitStack() as stack:
        prepared = _prepare(set_up)
        servers = [
            stack.enter_context(started(peer, set_up, prepared.public_key, prepared.answers))
            for peer in peers
        ]
        if not options.only or PORTICO in options.only:
            servers.insert(0, stack.enter_context(set_up.portico()))
        operations = _operations(options)
        if options.check:
            _check_each(servers, set_up, operations, prepared)
            return
        measured = {
            operation.name: _measure(set_up, operation, servers, prepared, options)
            for operation in operations
        }
        about = {
            **machine(set_up),
            **versions(peers),
            **left_out,
            "load": f"{options.connections} connections, {options.rounds} rounds of "
            f"{options.seconds} s each, {options.people:,} people",
        }
    _write(measured, about)


def _chosen(options: argparse.Namespace) -> tuple[list[Peer], dict[str, str]]:
    """Returns the peers to measure, and those that were left out, for the results."""
    peers = [peer for peer in PEERS if not options.only or peer.name in options.only]
    if options.peers == ALL:
        require(peers)
        return peers, {}
    absent = missing(peers)
    for name, needed in absent.items():
        say(f"Left out: {name}, which needs {needed}.")
    kept = [peer for peer in peers if peer.name not in absent]
    return kept, ({"left out": ", ".join(absent)} if absent else {})


def _operations(options: argparse.Namespace) -> list[Operation]:
    wanted = options.operations
    return [operation for operation in OPERATIONS if not wanted or operation.name in wanted]


def _measure(
    set_up: Stage,
    operation: Operation,
    servers: list[Server],
    prepared: Prepared,
    options: argparse.Namespace,
) -> dict[str, list[Round]]:
    file = write_requests(
        set_up.directory / f"{operation.name}.txt",
        for_each_token(prepared.tokens[operation.name], operation.query),
    )

    def one_round(server: Server, seconds: float) -> Round:
        taken = load(
            server.port,
            server.pid,
            file,
            seconds=seconds,
            connections=options.connections,
            core=set_up.other_core,
        )
        let_rest(server.pid)
        return taken

    rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
    for server in servers:
        _check(server, set_up, operation, prepared)
        _warm_up(lambda server=server: one_round(server, min(WARM_UP_SECONDS, options.seconds)))
    for number in range(1, options.rounds + 1):
        for server in servers:
            taken = one_round(server, options.seconds)
            rounds[server.name].append(taken)
            say(
                f"{operation.name} {number}/{options.rounds} {label_of(server.name):44}"
                f"{taken.requests_per_second:8.0f}/s {taken.cpu_ms_per_request:7.3f} ms CPU"
                f" {taken.cpu_busy:5.0%} busy"
            )
    for server in servers:
        _check(server, set_up, operation, prepared)
    return rounds


def _warm_up(one_run: Callable[[], Round]) -> None:
    # By CPU time: other work on this machine must not look like a cold server.
    before = one_run().cpu_ms_per_request
    for _ in range(WARM_UP_RUNS):
        now = one_run().cpu_ms_per_request
        if now * STILL_WARMING > before:
            return
        before = now


def _check_each(
    servers: list[Server], set_up: Stage, operations: list[Operation], prepared: Prepared
) -> None:
    for server in servers:
        for operation in operations:
            _check(server, set_up, operation, prepared)
        say(f"{label_of(server.name)}: correct")


def _check(server: Server, set_up: Stage, operation: Operation, prepared: Prepared) -> None:
    peer, token = peer_of(server.name), prepared.tokens[operation.name][0]
    if peer and peer.is_fixed:
        check_answer(server, set_up, operation, token)
        return
    check(server, set_up, operation, token)
    if peer is None or peer.asks_sessions:
        check_ended_session(server, operation, prepared.ended[operation.name])


def _prepare(set_up: Stage) -> Prepared:
    with set_up.portico({**CHEAP_HASHES, **UNTHROTTLED}, name="portico-login") as server:
        tokens = {ME.name: set_up.members(server), USERS.name: set_up.administrators(server)}
        return Prepared(
            tokens=tokens,
            ended={
                ME.name: _signed_out(set_up, server, 1),
                USERS.name: _signed_out(set_up, server, set_up.people),
            },
            public_key=set_up.write_public_key(server),
            answers=_record_answers(set_up, server, tokens),
        )


def _signed_out(set_up: Stage, server: Server, number: int) -> str:
    """Sign a user in and out; returns the access token, which has not expired."""
    (token,) = set_up.tokens(server, range(number, number + 1))
    Client(server.port, token)(LOGOUT)
    return token


def _record_answers(set_up: Stage, server: Server, tokens: Mapping[str, list[str]]) -> Path:
    folder = set_up.directory / "answers"
    folder.mkdir()
    for operation in OPERATIONS:
        data = Client(server.port, tokens[operation.name][0])(operation.query)
        body = json.dumps({"data": data}, separators=(",", ":"))
        (folder / f"{operation.name}.json").write_text(body, encoding="utf-8")
    return folder


def _write(measured: Rounds, about: Mapping[str, str]) -> None:
    as_json = {
        "about": about,
        "rounds": {
            operation: {name: [one.as_dict() for one in rounds] for name, rounds in by.items()}
            for operation, by in measured.items()
        },
    }
    titles = {operation.name: operation.title for operation in OPERATIONS}
    floors = {name for by_server in measured.values() for name in by_server if is_floor(name)}
    text = tables.throughput(measured, titles, label_of, about, floors)
    write_result("throughput.json", json.dumps(as_json, indent=1))
    write_result("throughput.md", text)
    write_result("throughput.svg", chart.throughput(measured, titles, label_of))
    print(text)


def _parser() -> argparse.ArgumentParser:
    names = [PORTICO, *(peer.name for peer in PEERS)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--peers",
        choices=[ALL, AVAILABLE],
        default=ALL,
        help=f"{AVAILABLE}: leave out those whose runtime or libraries are not installed",
    )
    parser.add_argument(
        "--check", action="store_true", help="check the answers of each server, measure nothing"
    )
    parser.add_argument("--operations", nargs="+", choices=[one.name for one in OPERATIONS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--people", type=int, default=100_000)
    return parser


if __name__ == "__main__":
    run_script(main, _parser())
