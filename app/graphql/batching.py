"""Lists below lists: what the objects of a page ask for is read for all of them, not one by one."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, TypeVarTuple

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Shared = TypeVarTuple("Shared")


@dataclass(frozen=True, slots=True)
class Batch:
    """Keys that are read together, and the task that reads them."""

    keys: dict[Any, None]
    reading: asyncio.Task[Mapping[Any, Any]]


@dataclass(frozen=True, slots=True)
class Batches:
    """Of one request: whoever asks for the same thing of other keys at the same moment shares it.

    Nothing is remembered: a mutation that runs later in the request asks anew. Strawberry's
    DataLoader is not used: when all who wait are cancelled before it reads, which an error in
    another field does, the next one to ask may wait for ever.
    """

    _open: dict[Hashable, Batch] = field(default_factory=dict[Hashable, Batch])

    async def load(
        self,
        read: Callable[[Sequence[Key], *Shared], Awaitable[Mapping[Key, Value]]],
        key: Key,
        *shared: *Shared,
    ) -> Value | None:
        """Returns what `read` finds for this key; None if that is nothing.

        `read` is called once for all objects that ask with equal `shared` arguments, which must be
        hashable.
        """
        question = (read, shared)
        batch = self._open.get(question) or self._begin(question, read, *shared)
        batch.keys[key] = None
        # One that is cancelled must not take it from the others.
        found = await asyncio.shield(batch.reading)
        return found.get(key)

    def _begin(
        self,
        question: Hashable,
        read: Callable[[Sequence[Key], *Shared], Awaitable[Mapping[Key, Value]]],
        *shared: *Shared,
    ) -> Batch:
        keys: dict[Key, None] = {}

        async def read_all() -> Mapping[Key, Value]:
            # It begins when all have run that were ready before it, and so have asked by now.
            del self._open[question]
            return await read(list(keys), *shared)

        batch = Batch(keys, asyncio.create_task(read_all()))
        self._open[question] = batch
        return batch
