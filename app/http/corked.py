"""Sends the head of an answer together with what follows: one call to the system, one packet."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Corked:
    """The transport of one answer.

    uvicorn writes head and body apart: two calls, and the other side is woken by each of them.
    """

    __slots__ = ("_began", "_cycle", "_head", "_transport")

    def __init__(self, transport: Any, cycle: RequestResponseCycle) -> None:
        self._transport, self._cycle = transport, cycle
        self._began = False
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        if self._head is not None:
            self._transport.writelines((self._head, data))
            self._head = None
        elif self._began or not self._cycle.response_started:
            # More of a body; or "100 Continue", which whoever asked waits for.
            self._transport.write(data)
        else:
            self._began, self._head = True, data

    def flush(self) -> None:
        """Send a head that nothing follows."""
        if self._head is not None:
            self._transport.write(self._head)
            self._head = None

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
