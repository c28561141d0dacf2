"""Batches reads: a list below a list is read once for all objects of a page, not once for each."""

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
    """The batches of one request: fields that read the same thing for other keys share a batch.

    Nothing is cached: a mutation that runs later in the request reads again. Strawberry's
    DataLoader is not used: if all waiting fields are cancelled before it reads, as by an error in
    another field, the next one may wait forever.
    """

    _open: dict[Hashable, Batch] = field(default_factory=dict[Hashable, Batch])

    async def load(
        self,
        read: Callable[[Sequence[Key], *Shared], Awaitable[Mapping[Key, Value]]],
        key: Key,
        *shared: *Shared,
    ) -> Value | None:
        """Returns what `read` finds for this key, or None.

        `read` is called once for all keys that are loaded with equal `shared` arguments, which must
        be hashable.
        """
        call = (read, shared)
        batch = self._open.get(call) or self._start(call, read, *shared)
        batch.keys[key] = None
        # If one field is cancelled, the others still need the result.
        values = await asyncio.shield(batch.reading)
        return values.get(key)

    def _start(
        self,
        call: Hashable,
        read: Callable[[Sequence[Key], *Shared], Awaitable[Mapping[Key, Value]]],
        *shared: *Shared,
    ) -> Batch:
        keys: dict[Key, None] = {}

        async def read_all() -> Mapping[Key, Value]:
            # This starts after all tasks that were ready before it, so they have added their keys.
            del self._open[call]
            return await read(list(keys), *shared)

        batch = Batch(keys, asyncio.create_task(read_all()))
        self._open[call] = batch
        return batch
