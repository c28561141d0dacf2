"""Hashing, verifying and judging passwords, in a bounded pool of threads off the event loop.

One hash at cost 12 is a third of a core-second (OWASP: as slow as one can afford). bcrypt lets go
of the interpreter lock meanwhile: as many threads as cores keep these busy and the loop free.
"""

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple, TypeVar

from app.errors import Overloaded
from app.security.cores import cores
from app.security.password_hashes.ours import OurHashes
from app.security.password_hashes.preparations import normalised
from app.security.password_hashes.table import read, read_or_none
from app.security.password_strength import estimated_guesses

MAX_CHARACTERS = 256
QUEUE_LENGTH = 50
WORKER_NICENESS = 10

T = TypeVar("T")


class Verification(NamedTuple):
    matches: bool
    upgraded_hash: str | None


class BoundedPool:
    """A few threads and a short queue: work is refused at once if the queue is full.

    It is also refused for a client that has a quarter of the places already, times `scale`: many
    correct passwords of one client, which no budget limits, must not block all others.
    """

    def __init__(self, name: str, threads: int, queue_length: int, scale: float = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, name, initializer=_yield_to_the_loop)
        self._places = self._all_places = threads + queue_length
        self._share = max(1, round(self._all_places / 4 * scale))
        self._taken = Counter[str]()
        self._lock = threading.Lock()

    @property
    def places_taken(self) -> int:
        return self._all_places - self._places

    async def run(self, work: Callable[[], T], by: str = "") -> T:
        """Run work on one of the threads, for a client or, without `by`, for Portico itself.

        Raises:
            Overloaded: too many are waiting already.

        """
        with self._lock:
            if self._places == 0 or (by and self._taken[by] >= self._share):
                raise Overloaded("The server is busy. Try again soon.", retry_after_seconds=5)
            self._places -= 1
            self._taken[by] += 1
        future = self._pool.submit(work)
        # Given back when the thread is done, also if the caller gave up: that is what the queue
        # holds.
        future.add_done_callback(lambda _: self._give_back(by))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _give_back(self, by: str) -> None:
        with self._lock:
            self._places += 1
            self._taken[by] -= 1
            if not self._taken[by]:
                del self._taken[by]


class Passwords:
    """Hashes, verifies and judges passwords."""

    def __init__(self, *, rounds: int, threads: int | None = None, scale: float = 1) -> None:
        self._ours = OurHashes(rounds)
        threads = threads or cores()
        self._hashing = BoundedPool("hashing", threads, QUEUE_LENGTH, scale)
        # Python throughout, it holds the interpreter lock: more threads would not judge faster, and
        # those who sign in must not queue behind those who register.
        self._judging = BoundedPool("judging", 1, QUEUE_LENGTH)
        # Passwords for unknown addresses are checked against it, so that they take the same time.
        self._dummy_hash = read(self._ours.make("portico"))

    @property
    def places_taken(self) -> int:
        """How many hashes are computed or queued."""
        return self._hashing.places_taken

    async def hash(self, password: str, by: str = "") -> str:
        return await self._hashing.run(lambda: self._ours.make(password), by)

    async def verify(self, password: str, password_hash: str | None, by: str = "") -> Verification:
        """Check a password, in the same time whether there is a hash to check it against or not.

        Raises:
            Overloaded: too many are waiting already, in all or of this client's.

        """
        return await self._hashing.run(lambda: self._verify(password, password_hash), by)

    async def guesses(self, password: str, context: Collection[str]) -> int:
        """Estimate how many guesses it takes; the words of the context are an attacker's first."""
        text = normalised(password)
        words = frozenset(normalised(word) for word in context)
        return await self._judging.run(lambda: estimated_guesses(text, words))

    def close(self) -> None:
        self._hashing.close()
        self._judging.close()

    def _verify(self, password: str, password_hash: str | None) -> Verification:
        # The same is done where there is no hash: what is left out could be seen in the time.
        known = None if password_hash is None else read_or_none(password_hash)
        against = self._dummy_hash if known is None else known
        # A hash of no password at all, which another system may have had, lets nobody in.
        usable = password != "" and is_hashable(password)
        matched = against.matches(password if usable else "")
        right = matched and usable and known is not None
        outdated = right and password_hash is not None and self._ours.outdated(password_hash)
        # Where only a part of the password counts, ours would lock out who types the other spelling
        # next time: the hash stays.
        outdated = outdated and against.keeps(password)
        return Verification(right, self._ours.make(password) if outdated else None)


def is_hashable(password: str) -> bool:
    """Whether it is text that a hash takes: bounded, no NUL, no half of a surrogate pair."""
    return len(password) <= MAX_CHARACTERS and is_storable(password)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold it: no NUL, nothing that UTF-8 cannot write."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _yield_to_the_loop() -> None:
    # On Linux niceness belongs to the thread: requests in flight go before hashes. It may only
    # rise.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = max(os.getpriority(os.PRIO_PROCESS, thread), WORKER_NICENESS)
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, niceness)
