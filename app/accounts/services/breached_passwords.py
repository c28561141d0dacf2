"""Passwords known from breaches: looked up in a service, by a prefix of the hash, or in a file."""

import asyncio
import logging
import mmap
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Protocol

import httpx

from app.errors import Misconfigured

PREFIX = 5
TIMEOUT_SECONDS = 2.0
HASH_CHARACTERS = 40

log = logging.getLogger(__name__)


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
class RangeService:
    """The range protocol of Have I Been Pwned: only five characters of the hash are sent.

    The response is padded, so that its length does not reveal the range to a network observer.
    """

    url: str

    async def contain(self, password: str) -> bool:
        """Look a password up. If the service does not answer, the password is accepted."""
        digest = _digest(password)
        try:
            lines = await self._range(digest[:PREFIX])
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("The breached-password service did not answer: %s", type(error).__name__)
            return False
        return any(
            suffix == digest[PREFIX:] and count.strip().lstrip("0") != ""
            for suffix, _, count in (line.partition(":") for line in lines)
        )

    async def check(self) -> int:
        """Request the range of no particular password, and return how many hashes it has.

        Raises:
            HTTPError: the service does not answer, or answers with an error.
            InvalidURL: the URL is invalid.
            TimeoutError: the service does not answer in time.

        """
        return len(await self._range("0" * PREFIX))

    async def _range(self, prefix: str) -> list[str]:
        # The timeout of the library is per read, and a response may arrive byte by byte.
        async with asyncio.timeout(TIMEOUT_SECONDS), httpx.AsyncClient() as http:
            address = f"{self.url.rstrip('/')}/{prefix}"
            answer = await http.get(address, headers={"Add-Padding": "true"})
        return answer.raise_for_status().text.splitlines()


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
        wanted = _digest(password).encode()
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
        sources.append(RangeService(url))
    return AnySource(tuple(sources))


@contextmanager
def _mapped(path: Path) -> Generator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        yield text


def _digest(password: str) -> str:
    # The hash of the protocol, used for the lookup only: bcrypt protects the stored password.
    return sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
