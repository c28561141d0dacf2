"""Rolling restarts under load, with some milliseconds between nginx and Portico: no request fails.

Needs root, for a network of its own. Not part of `.ci/run`.
"""

import argparse
import json
import time

from everyday import people_get_in
from fleet import fleet
from scene import Load, Scene
from script import run_script
from slow_network import slow_network

RESETS = ("reset by peer", "prematurely closed", "upstream timed out")
CONNECTIONS, PAUSE_MS = 64, "1"


def main(options: argparse.Namespace) -> None:
    one_way_seconds = options.round_trip / 2000
    with slow_network(one_way_seconds) as address, fleet(network=address) as whole:
        them = Scene(whole)
        people_get_in(them)
        load = Load(
            whole,
            [them.root, them.of_ada()["accessToken"]],
            connections=CONNECTIONS,
            pause_ms=PAUSE_MS,
        )
        with load:
            for number in range(options.restarts):
                time.sleep(1)
                whole["portico-1"].restart()
                whole["portico-2"].restart()
                them.say(f"rolling restart {number + 1}")
            time.sleep(1)
        lines = whole["nginx"].logs().splitlines()
        resets = sum(any(sign in line for sign in RESETS) for line in lines)
        them.say(f"{resets} connections were reset; {json.dumps(load.result)}")
        load.check()


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=3, help="of both processes")
    parser.add_argument("--round-trip", type=float, default=10, metavar="MS", help="of a packet")
    return parser


if __name__ == "__main__":
    run_script(main, arguments())
