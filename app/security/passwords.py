"""Hashes and verifies passwords and estimates their strength, in bounded pools of threads.

One hash at cost 12 takes a third of a second on one core (OWASP: as slow as is affordable). bcrypt
releases the interpreter lock, so one thread per core uses all cores and does not block the event
loop.
"""

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FunctionType
from typing import NamedTuple, TypeVar

from app.errors import Overloaded
from app.imports import import_attribute
from app.security.cores import cores
from app.security.password_hashes.formats import read, read_or_none
from app.security.password_hashes.own_format import OwnHashes
from app.security.password_hashes.preparations import normalised

MAX_CHARACTERS = 256
QUEUE_LENGTH = 50
WORKER_NICENESS = 10

T = TypeVar("T")


class Verification(NamedTuple):
    matches: bool
    upgraded_hash: str | None


class BoundedPool:
    """A few threads and a short queue: work is refused at once if the queue is full.

    Work for one client is also refused if that client already takes a quarter of the places, times
    `scale`: no rate limit counts correct passwords, and those of one client must not block others.
    """

    def __init__(self, name: str, threads: int, queue_length: int, scale: float = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, name, initializer=_lower_priority)
        self._free_places = self._total_places = threads + queue_length
        self._max_places_per_client = max(1, round(self._total_places / 4 * scale))
        self._taken_by_client = Counter[str]()
        self._lock = threading.Lock()

    @property
    def places_taken(self) -> int:
        return self._total_places - self._free_places

    async def run(self, work: Callable[[], T], client: str = "") -> T:
        """Run work on one of the threads, for a client or, without `client`, for Portico itself.

        Raises:
            Overloaded: too many are waiting already.

        """
        with self._lock:
            if self._free_places == 0 or (
                client and self._taken_by_client[client] >= self._max_places_per_client
            ):
                raise Overloaded("The server is busy. Try again soon.", retry_after_seconds=5)
            self._free_places -= 1
            self._taken_by_client[client] += 1
        future = self._pool.submit(work)
        # The place is released when the thread is done, even if the caller was cancelled before:
        # the work continues and takes the place until then.
        future.add_done_callback(lambda _: self._release(client))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _release(self, client: str) -> None:
        with self._lock:
            self._free_places += 1
            self._taken_by_client[client] -= 1
            if not self._taken_by_client[client]:
                del self._taken_by_client[client]


class Passwords:
    """Hashes and verifies passwords, and estimates their strength."""

    def __init__(self, *, rounds: int, threads: int | None = None, scale: float = 1) -> None:
        self._own = OwnHashes(rounds)
        threads = threads or cores()
        self._hashing = BoundedPool("hashing", threads, QUEUE_LENGTH, scale)
        # zxcvbn is pure Python and holds the interpreter lock: more threads would not make it
        # faster. The pool is separate so that sign-ins do not wait for registrations.
        self._estimating = BoundedPool("estimating", 1, QUEUE_LENGTH)
        # Passwords for unknown addresses are checked against it, so that they take the same time.
        self._dummy_hash = read(self._own.unmatchable())

    @property
    def places_taken(self) -> int:
        """How many hashes are computed or queued."""
        return self._hashing.places_taken

    async def hash(self, password: str, client: str = "") -> str:
        return await self._hashing.run(lambda: self._own.make(password), client)

    async def verify(
        self, password: str, password_hash: str | None, client: str = ""
    ) -> Verification:
        """Check a password. Takes the same time whether there is a hash to check it against or not.

        Raises:
            Overloaded: too many are waiting already, in total or for this client.

        """
        return await self._hashing.run(lambda: self._verify(password, password_hash), client)

    async def guesses(self, password: str, context: Collection[str]) -> int:
        """Estimate how many guesses a password takes; attackers try the words of context first."""
        text = normalised(password)
        words = frozenset(normalised(word) for word in context)
        return await self._estimating.run(lambda: _estimated_guesses(text, words))

    def close(self) -> None:
        self._hashing.close()
        self._estimating.close()

    def _verify(self, password: str, password_hash: str | None) -> Verification:
        # Without a hash the same work is done: the time must not tell whether there is one.
        stored = None if password_hash is None else read_or_none(password_hash)
        compared = self._dummy_hash if stored is None else stored
        # Another system may have stored a hash of the empty password: it must not match.
        usable = password != "" and is_hashable(password)
        matched = compared.matches(password if usable else "")
        matches = matched and usable and stored is not None
        outdated = matches and password_hash is not None and self._own.outdated(password_hash)
        # The hash is kept if only a part of the password counts: a hash in our format would no
        # longer match the other spellings of that password.
        outdated = outdated and compared.uses_all_of(password)
        return Verification(matches, self._own.make(password) if outdated else None)


def _estimated_guesses(password: str, context: frozenset[str]) -> int:
    # Imported at the first estimate, which many workers never make: its words take memory.
    path, name = "app.security.password_strength", "estimated_guesses"
    return import_attribute(path, name, FunctionType)(password, context)


def is_hashable(password: str) -> bool:
    """Whether a password can be hashed: bounded, no NUL, no lone surrogate."""
    return len(password) <= MAX_CHARACTERS and is_storable(password)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can store a text: no NUL, no lone surrogate, which UTF-8 cannot encode."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _lower_priority() -> None:
    # On Linux each thread has its own niceness: the event loop gets the CPU before hashing. A
    # niceness that the operator has set higher is kept: without privileges it can only rise.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = max(os.getpriority(os.PRIO_PROCESS, thread), WORKER_NICENESS)
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, niceness)
