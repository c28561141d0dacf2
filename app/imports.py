"""Imports by name, of what a setting names and of what only some commands need."""

import gc
import importlib
import sys
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any

from app.errors import Misconfigured


def import_module(path: str) -> ModuleType:
    """Import a Python module. At the start, exclude what it defines from garbage collection.

    Raises:
        Misconfigured: it does not exist, or fails; names the file and the line.

    """
    with nullcontext() if path in sys.modules or _may_be_serving() else _no_garbage_collection():
        return _import(path)


def _may_be_serving() -> bool:
    """Whether requests may be under way, whose objects must not be excluded: in other threads."""
    return threading.current_thread() is not threading.main_thread()


def _import(path: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except Misconfigured:
        raise
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{path}.".startswith(f"{missing.name}."):
            raise Misconfigured(_failure(path, missing)) from missing
        raise Misconfigured(
            f"There is no Python module {path}: is its project installed?"
        ) from None
    except Exception as error:
        raise Misconfigured(_failure(path, error)) from error


def import_attribute(path: str, name: str, kind: type[Any]) -> Any:
    """Import a Python module, and return what it defines under this name.

    Raises:
        Misconfigured: as `import_module`, or the module does not define that.

    """
    found = getattr(import_module(path), name, None)
    if not isinstance(found, kind):
        raise Misconfigured(f"The Python module {path} must define {name}, a {kind.__qualname__}")
    return found


def import_private_copy(path: str) -> ModuleType:
    """Import a copy of a library that nothing else in this process shares.

    Its memory is freed with the last reference to it, and changing it changes no other copy.
    """
    shared = _unload(path)
    try:
        # Not excluded from garbage collection, which frees it.
        return _import(path)
    finally:
        _unload(path)
        sys.modules.update(shared)


def _unload(path: str) -> dict[str, ModuleType]:
    """Remove a module and those within it from those that are imported, and return them."""
    names = [name for name in sys.modules if f"{name}.".startswith(f"{path}.")]
    return {name: sys.modules.pop(name) for name in names}


@contextmanager
def _no_garbage_collection() -> Generator[None]:
    """Suspend garbage collection, and exclude what exists afterwards from it.

    What modules define stays: each collection would visit all of it again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


def _failure(path: str, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{path} cannot be imported: {error.msg} ({error.filename}, line {error.lineno})"
    last = traceback.extract_tb(error.__traceback__)[-1]
    cause = f"{type(error).__name__}: {error}"
    return f"{path} cannot be imported: {cause} ({last.filename}, line {last.lineno})"
