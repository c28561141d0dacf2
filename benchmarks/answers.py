"""Sends requests over HTTP as a client would, and classifies answers by what they say was done."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

TIMEOUT_SECONDS = 60


class Kind(StrEnum):
    DONE = "done"
    NOT_DONE = "503, nothing was done, try again"
    UNKNOWN = "503, fate unknown"
    REFUSED = "no longer signed in"
    BROKEN = "connection broken"
    WRONG = "anything else"


@dataclass(frozen=True)
class Answer:
    kind: Kind
    data: dict[str, Any]
    seconds: float
    detail: str = ""


class Asker:
    """One kept-alive connection. Errors are returned as answers, not raised."""

    def __init__(self, port: int, *, source: str | None = None) -> None:
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", port, TIMEOUT_SECONDS, source_address=(source, 0) if source else None
        )

    def __call__(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"content-type": "application/json", **(headers or {})}
        if token:
            sent["authorization"] = f"Bearer {token}"
        began = time.monotonic()
        try:
            # A server may answer before it has read a body that is too long, and then close.
            with suppress(BrokenPipeError):
                self._connection.request(
                    "POST", "/graphql", json.dumps({"query": query, "variables": variables}), sent
                )
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Answer(Kind.BROKEN, {}, time.monotonic() - began, repr(error))
        seconds = time.monotonic() - began
        return _read(response.status, response.getheader("retry-after"), body, seconds)


def _read(status: int, retry_after: str | None, body: bytes, seconds: float) -> Answer:
    try:
        answer = json.loads(body)
    except ValueError:
        return Answer(Kind.WRONG, {}, seconds, f"{status}: {body[:200]!r}")
    data, errors = answer.get("data") or {}, answer.get("errors", [])
    if status == 200 and not errors:
        return Answer(Kind.DONE, data, seconds)
    if status == 200 and {each["extensions"]["code"] for each in errors} == {"UNAUTHENTICATED"}:
        return Answer(Kind.REFUSED, data, seconds)
    away = all(each["extensions"]["code"] == "SERVICE_UNAVAILABLE" for each in errors)
    if status == 503 and away and errors:
        unknown = any(each["extensions"].get("fate") == "UNKNOWN" for each in errors)
        if unknown != bool(retry_after):
            return Answer(Kind.UNKNOWN if unknown else Kind.NOT_DONE, data, seconds)
    return Answer(Kind.WRONG, data, seconds, f"{status}: {body[:300]!r}")


@dataclass
class Watch:
    """Sends requests repeatedly in a thread of its own, and records the answers."""

    ask: Callable[[], Answer]
    pause: float = 0.02
    began: list[tuple[float, Answer]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(TIMEOUT_SECONDS)

    def _run(self) -> None:
        while not self._over.wait(self.pause):
            at = time.monotonic()
            self.began.append((at, self.ask()))

    def kinds(self) -> Counter[Kind]:
        return Counter(answer.kind for _, answer in self.began)

    def longest(self) -> float:
        return max(answer.seconds for _, answer in self.began)

    def well_since(self) -> float | None:
        """Returns since when all answers were as expected; None if the last one was not."""
        since = None
        for at, answer in reversed(self.began):
            if answer.kind is not Kind.DONE:
                break
            since = at + answer.seconds
        return since

    def outage(self) -> float:
        """Returns the time from the first unexpected answer until all were as expected again."""
        bad = [at for at, answer in self.began if answer.kind is not Kind.DONE]
        slow = [answer.seconds for _, answer in self.began]
        if not bad:
            return max(slow)
        return max((self.well_since() or time.monotonic()) - bad[0], *slow)

    def is_well_for(self, seconds: float) -> bool:
        since = self.well_since()
        return since is not None and since < time.monotonic() - seconds

    def others(self, *expected: Kind) -> list[str]:
        """Returns the unexpected answers."""
        return [
            f"{answer.kind}: {answer.detail or answer.data}"
            for _, answer in self.began
            if answer.kind not in expected
        ]
