"""Throughput of Portico and its peers, each on one core, on one database, in alternation."""

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import chart
import tables
from load import Round, for_each_token, let_rest, load, require_wrk, write_requests
from operations import ME, OPERATIONS, Operation, check
from script import run_script
from servers import PEERS, PORTICO, installed, label_of, started, versions
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
# V8 and CPython's caches need time: warm up until a run is hardly faster than the last one.
WARM_UP_SECONDS, WARM_UP_RUNS, STILL_WARMING = 3, 8, 1.05


def main(options: argparse.Namespace) -> None:
    require_wrk()
    chosen = [peer for peer in PEERS if not options.only or peer.name in options.only]
    peers = installed(chosen)
    say(f"Core {SERVER_CORE}: the server under load. Core {OTHER_CORE}: PostgreSQL and wrk.")
    with stage(options.people) as set_up, ExitStack() as stack:
        tokens, key = _tokens_and_key(set_up)
        servers = [stack.enter_context(started(peer, set_up, key)) for peer in peers]
        if not options.only or PORTICO in options.only:
            servers.insert(0, stack.enter_context(set_up.portico()))
        measured = {
            operation.name: _measure(set_up, operation, servers, tokens[operation.name], options)
            for operation in OPERATIONS
            if not options.operations or operation.name in options.operations
        }
        about = {
            **machine(set_up),
            **versions(peers),
            "load": f"{options.connections} connections, {options.rounds} rounds of "
            f"{options.seconds} s each, {options.people:,} people",
        }
    _write(measured, about)


def _measure(
    set_up: Stage,
    operation: Operation,
    servers: list[Server],
    tokens: list[str],
    options: argparse.Namespace,
) -> dict[str, list[Round]]:
    file = write_requests(
        set_up.directory / f"{operation.name}.txt", for_each_token(tokens, operation.query)
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
        check(server, set_up, operation, tokens[0])
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
        check(server, set_up, operation, tokens[0])
    return rounds


def _warm_up(one_run: Callable[[], Round]) -> None:
    # By CPU time: other work on this machine must not look like a cold server.
    before = one_run().cpu_ms_per_request
    for _ in range(WARM_UP_RUNS):
        now = one_run().cpu_ms_per_request
        if now * STILL_WARMING > before:
            return
        before = now


def _tokens_and_key(set_up: Stage) -> tuple[dict[str, list[str]], Path]:
    with set_up.portico({**CHEAP_HASHES, **UNTHROTTLED}, name="portico-login") as server:
        members, administrators = set_up.members(server), set_up.administrators(server)
        key = set_up.write_public_key(server)
    return {ME.name: members, "users": administrators}, key


def _write(measured: Rounds, about: Mapping[str, str]) -> None:
    as_json = {
        "about": about,
        "rounds": {
            operation: {name: [one.as_dict() for one in rounds] for name, rounds in by.items()}
            for operation, by in measured.items()
        },
    }
    titles = {operation.name: operation.title for operation in OPERATIONS}
    text = tables.throughput(measured, titles, label_of, about)
    write_result("throughput.json", json.dumps(as_json, indent=1))
    write_result("throughput.md", text)
    write_result("throughput.svg", chart.throughput(measured, titles, label_of))
    print(text)


def _parser() -> argparse.ArgumentParser:
    names = [PORTICO, *(peer.name for peer in PEERS)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--operations", nargs="+", choices=[one.name for one in OPERATIONS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--people", type=int, default=100_000)
    return parser


if __name__ == "__main__":
    run_script(main, _parser())
