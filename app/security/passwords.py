"""Hashing, verifying and judging passwords, in a bounded pool of threads off the event loop.

One hash at cost 12 is a third of a core-second (OWASP: as slow as one can afford). bcrypt lets go
of the interpreter lock meanwhile: as many threads as cores keep these busy and the loop free.
"""

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar, cast

from passlib.context import CryptContext  # pyright: ignore[reportMissingTypeStubs] - it has none
from zxcvbn import zxcvbn

from app.errors import Overloaded

MAX_CHARACTERS = 256
QUEUE_LENGTH = 50
# zxcvbn takes more than linear time; what it would add beyond its own bound does not change a
# refusal.
JUDGED_CHARACTERS = 72
WORKER_NICENESS = 10

T = TypeVar("T")


class Verification(NamedTuple):
    matches: bool
    upgraded_hash: str | None


class Hasher(Protocol):
    """What is used of passlib's CryptContext, which is not typed."""

    def hash(self, secret: str) -> str: ...

    def verify_and_update(self, secret: str, hash: str) -> tuple[bool, str | None]: ...  # noqa: A002


class Passwords:
    """The one place where a password is turned into a hash."""

    def __init__(self, *, rounds: int, threads: int | None = None) -> None:
        context = CryptContext(
            schemes=["bcrypt_sha256", "bcrypt"],
            deprecated=["bcrypt"],
            bcrypt_sha256__rounds=rounds,
            bcrypt__rounds=rounds,
        )
        self._context = cast("Hasher", context)
        self._threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, "hashing", initializer=_yield_to_the_loop)
        self._waiting = 0
        self._lock = threading.Lock()
        # What an unknown address is checked against, so that it costs what a known one does.
        self._dummy_hash = self._context.hash("portico")

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._context.hash(normalised(password)))

    async def verify(self, password: str, password_hash: str | None) -> Verification:
        """Check a password, in the same time whether there is a hash to check it against or not.

        Raises:
            Overloaded: too many are waiting already.

        """
        return await self._run(lambda: self._verify(password, password_hash))

    async def guesses(self, password: str, known_words: list[str]) -> int:
        """Estimate how many guesses it takes, `known_words` being the attacker's first."""
        judged = normalised(password)[:JUDGED_CHARACTERS]
        return await self._run(lambda: int(zxcvbn(judged, user_inputs=known_words)["guesses"]))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, password_hash: str | None) -> Verification:
        candidate = normalised(password) if is_hashable(password) else ""
        matches, upgraded = self._context.verify_and_update(
            candidate, password_hash or self._dummy_hash
        )
        if password_hash is None or not is_hashable(password):
            return Verification(matches=False, upgraded_hash=None)
        return Verification(matches, upgraded)

    async def _run(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._waiting >= QUEUE_LENGTH + self._threads:
                raise Overloaded(
                    "The server is busy with other sign-ins. Try again soon.", retry_after_seconds=5
                )
            self._waiting += 1
        future = self._pool.submit(work)
        # Counted until the thread is done, also when the caller has given up: that is what the
        # queue holds.
        future.add_done_callback(self._one_less)
        return await asyncio.wrap_future(future)

    def _one_less(self, _future: object) -> None:
        with self._lock:
            self._waiting -= 1


def normalised(password: str) -> str:
    """Compose it (NFC, as RFC 8265 does), so that two keyboards spell one password alike."""
    return unicodedata.normalize("NFC", password)


def is_hashable(password: str) -> bool:
    """Whether it is text that a hash takes: bounded, no NUL, no half of a surrogate pair."""
    return len(password) <= MAX_CHARACTERS and is_storable(password)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold it: no NUL, nothing that UTF-8 cannot write."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _yield_to_the_loop() -> None:
    # On Linux niceness belongs to the thread: requests in flight go before hashes.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), WORKER_NICENESS)
