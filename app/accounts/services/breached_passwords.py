"""Passwords known from breaches: looked up in a file, in a service, or in both."""

import mmap
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Protocol

from app.errors import Misconfigured
from app.imports import import_module

HASH_CHARACTERS = 40


class BreachedPasswords(Protocol):
    async def contain(self, password: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class AnySource:
    """No source, one or several: a password is breached if any of them has it."""

    sources: tuple[BreachedPasswords, ...]

    async def contain(self, password: str) -> bool:
        for source in self.sources:
            if await source.contain(password):
                return True
        return False


@dataclass(frozen=True, slots=True)
class HashFile:
    """A sorted file of SHA-1 hashes, one per line, as the same service offers for download.

    A binary search in the mapped file: its size does not matter for memory.
    """

    path: Path

    @classmethod
    def of(cls, path: Path) -> "HashFile":
        """Open the file once, to check its format.

        Raises:
            Misconfigured: the file cannot be read, or has another format.

        """
        try:
            with path.open("rb") as file:
                first = file.readline(200).strip().partition(b":")[0]
        except OSError as error:
            raise Misconfigured(f"BREACHED_PASSWORDS_FILE: {error.strerror}.") from None
        if len(first) != HASH_CHARACTERS or not set(first.upper()) <= set(b"0123456789ABCDEF"):
            raise Misconfigured("BREACHED_PASSWORDS_FILE must have a SHA-1 hash on each line.")
        return cls(path)

    async def contain(self, password: str) -> bool:
        wanted = sha1_of(password).encode()
        with _mapped(self.path) as text:
            low, high = 0, len(text)
            while low < high:
                start = text.rfind(b"\n", 0, (low + high) // 2) + 1
                line = text[start : start + HASH_CHARACTERS].upper()
                if line == wanted:
                    return True
                if line < wanted:
                    end = text.find(b"\n", start)
                    low = len(text) if end < 0 else end + 1
                else:
                    high = start
        return False


def breached_passwords_of(url: str | None, path: Path | None) -> BreachedPasswords:
    """Returns the sources that the settings name, the file first, since it is faster.

    Raises:
        Misconfigured: the file cannot be used.

    """
    sources: list[BreachedPasswords] = [HashFile.of(path)] if path else []
    if url:
        # Imported here: only this source needs an HTTP client.
        sources.append(import_module("app.accounts.services.breached_ranges").RangeService(url))
    return AnySource(tuple(sources))


@contextmanager
def _mapped(path: Path) -> Generator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        yield text


def sha1_of(password: str) -> str:
    """Returns the hash by which passwords are looked up. bcrypt protects those that are stored."""
    return sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
