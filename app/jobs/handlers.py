"""Jobs as modules declare them: what a job carries, and which method of a service runs it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import Field, dataclass
from functools import lru_cache
from typing import Any, ClassVar, Generic, NewType, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

# Runs a job with what it carries, as it was written into the queue.
Handler = Callable[[bytes], Awaitable[None]]
# The handlers of all jobs, by the names of the jobs.
Handlers = NewType("Handlers", Mapping[str, Handler])


class Payload(Protocol):
    """What a job carries: a frozen dataclass of texts, numbers, UUIDs and times.

    A job that waits in the queue may have been written by the former release, or be read by it:
    `job` keeps its name, a new field has a default, and a field that is not known is ignored.
    """

    job: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


PayloadT = TypeVar("PayloadT", bound=Payload)
ServiceT = TypeVar("ServiceT")


class PermanentFailure(Exception):
    """A handler has found that trying again cannot help.

    The text is shown to operators and kept in the database: it holds no address and no secret.
    """


@dataclass(frozen=True, slots=True)
class Handles(Generic[PayloadT, ServiceT]):
    """Declares that jobs with this payload are run by this method of this service."""

    payload: type[PayloadT]
    service: type[ServiceT]
    method: Callable[[ServiceT, PayloadT], Awaitable[None]]

    def bound_to(self, service: ServiceT) -> Handler:
        """Returns what a worker calls.

        It raises PermanentFailure where what was written is not a payload of this kind.
        """

        async def handle(written: bytes) -> None:
            await self.method(service, read_payload(self.payload, written))

        return handle


def write_payload(payload: Payload) -> bytes:
    """Returns a payload as JSON."""
    return _adapter(type(payload)).dump_json(payload)


def read_payload(kind: type[PayloadT], written: bytes) -> PayloadT:
    """Returns the payload that was written.

    Raises:
        PermanentFailure: it has not the fields of this kind. Says which, and not what was in them.

    """
    try:
        return _adapter(kind).validate_json(written)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise PermanentFailure(_reason(kind, faults)) from None


@lru_cache(maxsize=256)
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _reason(kind: type[Payload], faults: Sequence[ErrorDetails]) -> str:
    # Deeper places may be keys of a mapping, and those are content.
    fields = sorted({str(place) for fault in faults for place in fault["loc"][:1]})
    if not fields:
        return f"its payload is not a {kind.__name__}"
    return f"its payload is not a {kind.__name__}: {', '.join(fields)}"
