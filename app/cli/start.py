"""Starts the `portico` command, whose modules take most of the time of a short one."""

import gc
import sys

from app.imports import import_module

VERSION_OPTION = "--version"


def main() -> None:
    """Run the command line, without collecting garbage while its modules are imported.

    What they define stays: each collection would walk all of it again, for a quarter of the time.
    """
    if sys.argv[1:] == [VERSION_OPTION]:
        # Needs none of them, and no settings.
        import_module("app.cli.version").print_version()
        return
    gc.disable()
    run = import_module("app.cli.main").main
    gc.freeze()
    gc.enable()
    run()
