"""The versions of the server's parts that ours replaces some of, and is tested with."""

from importlib.metadata import version
from typing import NamedTuple


class Versions(NamedTuple):
    uvicorn: str
    httptools: str

    def __str__(self) -> str:
        return f"uvicorn {self.uvicorn} and httptools {self.httptools}"


TESTED = Versions(uvicorn="0.54.0", httptools="0.9.0")


def installed() -> Versions:
    return Versions(*map(version, Versions._fields))
