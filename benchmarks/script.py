"""Runs a benchmark as a script: with a time limit, a clean end, and errors in one line."""

import argparse
import signal
import sys
from collections.abc import Callable

from processes import BenchmarkFailed, end_on_sigterm

INTERRUPTED = 130


def run_script(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at-most", type=int, default=3600, metavar="SECONDS", help="the time limit"
    )
    options = parser.parse_args()
    end_on_sigterm()
    signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGTERM))
    signal.alarm(options.at_most)
    try:
        main(options)
    except BenchmarkFailed as failure:
        sys.exit(f"benchmark: {failure}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
