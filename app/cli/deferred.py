"""Commands that are declared without what they need: `runs`."""

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import ParamSpec

from app.imports import import_attribute

P = ParamSpec("P")


def runs(path: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Declare a command: it runs the function of the same name in the Python module at this path.

    The module is imported when the command runs, and not for `--help` or another command: services,
    and SQLAlchemy below them, take most of the time of a short command.
    """

    def declare(declared: Callable[P, None]) -> Callable[P, None]:
        @wraps(declared)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            import_attribute(path, declared.__name__, FunctionType)(*args, **kwargs)

        return run

    return declare
