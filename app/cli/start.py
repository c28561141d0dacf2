"""Starts the `portico` command, whose modules take most of the time of a short one."""

import sys

from app.imports import import_module

VERSION_OPTION = "--version"


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == [VERSION_OPTION]:
        # Needs no other module, and no settings.
        import_module("app.cli.version").print_version()
        return
    import_module("app.cli.main").main()
