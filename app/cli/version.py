"""`portico --version`."""

import sys
from importlib.metadata import version


def print_version() -> None:
    sys.stdout.write(f"portico {version('portico')}\n")
