"""The versions of uvicorn and httptools that this package is tested with, and changes parts of.

With other versions `portico serve` runs uvicorn's own h11 protocol: see `app/server/README.md`.
"""

from importlib.metadata import requires, version
from typing import NamedTuple


class ServerVersions(NamedTuple):
    uvicorn: str
    httptools: str

    def __str__(self) -> str:
        return f"uvicorn {self.uvicorn} and httptools {self.httptools}"


def installed_versions() -> ServerVersions:
    return ServerVersions(*map(version, ServerVersions._fields))


def _pinned_versions() -> ServerVersions:
    """Returns what `pyproject.toml` pins, the only place that names these versions."""
    requirements = [each.partition("==") for each in requires("portico") or ()]
    pins = {name: pinned for name, _, pinned in requirements}
    return ServerVersions(*(pins[name] for name in ServerVersions._fields))


TESTED = _pinned_versions()
