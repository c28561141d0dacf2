"""Declarations of jobs: the payload of a job, and the method of a service that runs it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import Field, dataclass
from functools import lru_cache
from typing import Any, ClassVar, Generic, NewType, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

# Runs a job with its payload, as it was written into the queue.
Handler = Callable[[bytes], Awaitable[None]]
# The handlers of all jobs, by the names of the jobs.
Handlers = NewType("Handlers", Mapping[str, Handler])


class Payload(Protocol):
    """The payload of a job: a frozen dataclass of texts, numbers, UUIDs and times.

    The previous release may have written a queued job, or may read it: `job` keeps its name, a new
    field has a default, and unknown fields are ignored.
    """

    job: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


PayloadT = TypeVar("PayloadT", bound=Payload)
ServiceT = TypeVar("ServiceT")


class PermanentFailure(Exception):
    """Raised by a handler if the job can never succeed.

    The message is shown to operators and stored in the database: it contains no address or secret.
    """


@dataclass(frozen=True, slots=True)
class Handles(Generic[PayloadT, ServiceT]):
    """Declares that jobs with this payload are run by this method of this service."""

    payload: type[PayloadT]
    service: type[ServiceT]
    method: Callable[[ServiceT, PayloadT], Awaitable[None]]

    def bound_to(self, service: ServiceT) -> Handler:
        """Returns the handler that a worker calls.

        It raises PermanentFailure if the written payload is invalid.
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
        PermanentFailure: fields are missing or invalid. Names them without their values.

    """
    try:
        return _adapter(kind).validate_json(written)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise PermanentFailure(_reason(kind, errors)) from None


@lru_cache(maxsize=256)
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _reason(kind: type[Payload], errors: Sequence[ErrorDetails]) -> str:
    # Deeper parts of a location may be keys of a mapping, which are content.
    fields = sorted({str(name) for error in errors for name in error["loc"][:1]})
    if not fields:
        return f"its payload is not a {kind.__name__}"
    return f"its payload is not a {kind.__name__}: {', '.join(fields)}"
