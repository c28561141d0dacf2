"""Checks the answers to a stream against the second parser."""

from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPResponse, IncompleteRead
from io import BytesIO
from typing import Any, NamedTuple

from tests.wire.quirks import Duty, Quirk
from tests.wire.second_parser import EARLY, End, Reading, Request
from tests.wire.streams import Stream

REFUSALS = range(400, 600)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answer(NamedTuple):
    status: int
    # The label of the request; None if it is not the application's answer.
    label: bytes | None


class Application(NamedTuple):
    """How the answers of an application identify requests."""

    label_in: Callable[[HTTPResponse], bytes | None]
    label_for: Callable[[Request], bytes]
    # Whether the server closes a connection with an incomplete request.
    gives_up: bool
    # Whether it may refuse what follows the last request before that is answered.
    refuses_early: bool


class Received(NamedTuple):
    answers: Sequence[Answer]
    closed: bool
    rest: bytes = b""


class _Bytes(BytesIO):
    """Received bytes, as the socket that a response is read from."""

    def makefile(self, _mode: str) -> "_Bytes":
        return self

    def close(self) -> None:
        """Stay open for the next response."""


def answers_in(
    received: bytes, methods: Sequence[bytes], application: Application
) -> tuple[list[Answer], bytes]:
    """Parse answers to requests with these methods; also returns what is not an answer."""
    source = _Bytes(received)
    answers: list[Answer] = []
    while source.tell() < len(received):
        start = source.tell()
        method = methods[len(answers)] if len(answers) < len(methods) else b"GET"
        try:
            answers.append(_next_answer(source, method, application))
        except HTTPException:
            return answers, received[start:]
    return answers, b""


def _next_answer(source: Any, method: bytes, application: Application) -> Answer:
    response = HTTPResponse(source)
    response.begin()
    label = application.label_in(response)
    if label is not None and method == b"HEAD":
        return Answer(response.status, label)
    try:
        body = response.read()
    except IncompleteRead:
        if label is not None:
            raise
        # A refusal of a HEAD whose method the server could not read.
        body = b""
    return Answer(response.status, None if label is None else label + body)


def fault_of(
    stream: Stream, reading: Reading, received: Received, application: Application
) -> str | None:
    """Returns the rule that was broken; None if there is no error."""
    if received.rest and not (received.rest == CONTINUE and _waits_for_a_body(reading)):
        return f"an answer is cut short: {received.rest[:80]!r}"
    served = [answer for answer in received.answers if answer.label is not None]
    refusals = [answer for answer in received.answers if answer.label is None]
    if list(received.answers) != served + refusals or len(refusals) > 1:
        return "something is answered after a refusal"
    if any(refusal.status not in REFUSALS or refusal.status == 500 for refusal in refusals):
        return f"a refusal has the status {refusals[0].status}"
    return _about_served(stream, reading, served, application) or _about_the_end(
        stream, reading, served, received, application, refused=bool(refusals)
    )


def _waits_for_a_body(reading: Reading) -> bool:
    """Whether the last request asked for 100 Continue, and its body is not whole."""
    last = reading.requests[-1] if reading.requests else None
    return last is not None and last.expects and not last.complete


def _about_served(
    stream: Stream, reading: Reading, served: Sequence[Answer], application: Application
) -> str | None:
    if len(served) > len(reading.requests):
        return "there are more answers than requests"
    for request, answer in zip(reading.requests, served, strict=False):
        if not (request.complete or request.origin.startswith(EARLY)):
            return f"a request without an end is answered: {request}"
        if answer.label != application.label_for(request):
            return f"{request} is answered with {answer}"
        must = _quirks(stream, request.start, request.head_end, Duty.MUST_REFUSE)
        if must and not stream.is_mutated_within(request.start, request.head_end):
            return f"{must} is answered"
    return None


def _about_the_end(
    stream: Stream,
    reading: Reading,
    served: Sequence[Answer],
    received: Received,
    application: Application,
    *,
    refused: bool,
) -> str | None:
    complete = len(reading.complete)
    if len(served) < complete:
        return _about_unserved(stream, reading, served, application, refused=refused)
    if not received.closed and reading.end is not End.INCOMPLETE:
        return "the connection stays open"
    if (
        received.closed
        and not refused
        and served
        and _may_close(stream, reading.requests[len(served) - 1])
    ):
        return None
    if refused and reading.end is End.CLOSED:
        return "something is answered after the last request"
    if reading.end is End.REFUSED and not refused and len(served) == complete:
        return f"nothing is said about what h11 refuses: {reading.why}"
    return None


def _about_unserved(
    stream: Stream,
    reading: Reading,
    served: Sequence[Answer],
    application: Application,
    *,
    refused: bool,
) -> str | None:
    request = reading.requests[len(served)]
    if not refused:
        closes = bool(served) and _may_close(stream, reading.requests[len(served) - 1])
        return None if closes else f"{request} has no answer"
    if application.refuses_early and reading.end is End.CLOSED and request is reading.requests[-1]:
        return None
    if not _quirks(stream, request.start, request.end, Duty.MAY_REFUSE, Duty.MUST_REFUSE):
        return f"{request} is refused without a reason"
    return None


def _may_close(stream: Stream, served: Request) -> bool:
    """Whether the connection may end with its answer, although the request does not close it."""
    if served.origin.startswith(EARLY):
        # It was answered before its body arrived, which may never arrive.
        return served.expects or bool(_quirks(stream, served.start, served.end, *Duty))
    return bool(_quirks(stream, served.start, served.end, Duty.MAY_CLOSE))


def _quirks(stream: Stream, start: int, end: int, *duties: Duty) -> set[Quirk]:
    return {quirk for quirk in stream.quirks_within(start, end) if quirk.duty in duties}
