"""Fuzzes the protocols; `--seed` and `--only` repeat a run."""

import argparse
import asyncio
import secrets
import sys
import time
from functools import partial

from tests.wire.applications import ECHOES, PORTICO
from tests.wire.fuzzing import Found, Fuzzing
from tests.wire.portico import stream_of as portico_stream_of
from tests.wire.servers import MODES, echoing
from tests.wire.streams import stream_of


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="for each server")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--only", type=int, help="send the one stream of this number")
    parser.add_argument("--mode", choices=MODES, action="append", help="a protocol; all of them")
    parser.add_argument("--port", type=int, help="a running Portico, instead of an echo")
    options = parser.parse_args()
    print(f"Seed {options.seed}")  # noqa: T201 - a command
    try:
        asyncio.run(_fuzz(options))
    except Found as found:
        print(found)  # noqa: T201
        return 1
    return 0


async def _fuzz(options: argparse.Namespace) -> None:
    seed: str = options.seed
    if options.port:
        fuzzing = Fuzzing(options.port, PORTICO, partial(portico_stream_of, seed))
        await _run(fuzzing, options, f"Portico on port {options.port}")
        return
    for mode in options.mode or MODES:
        async with echoing(mode) as port:
            fuzzing = Fuzzing(port, ECHOES[mode], partial(stream_of, seed))
            await _run(fuzzing, options, mode)


async def _run(fuzzing: Fuzzing, options: argparse.Namespace, name: str) -> None:
    try:
        if options.only is None:
            ends = time.monotonic() + options.seconds
            await fuzzing.run(lambda _sent: time.monotonic() < ends)
        else:
            await fuzzing.check(options.only)
    finally:
        print(f"{name}: {fuzzing.sent} streams")  # noqa: T201


sys.exit(main())
