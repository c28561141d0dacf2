"""uvicorn's server with a time limit for stopping."""

import signal
from types import FrameType

import uvicorn

from app.server.forced_exit import exit_within

# How long the lifespan may take to end after the last request: it closes the database.
CLOSING_SECONDS = 2


def seconds_to_stop(config: uvicorn.Config) -> float:
    """Returns how long a server may take to end after it stops listening."""
    return (config.timeout_graceful_shutdown or 0) + CLOSING_SECONDS


class BoundedServer(uvicorn.Server):
    """A server that ends in time even if a thread, a task or its event loop hangs.

    A second SIGINT ends it without waiting for requests.
    """

    def limit_stopping(self, delay: float) -> None:
        """Start the time limit of a server that stops listening `delay` seconds from now."""
        exit_within(delay + seconds_to_stop(self.config))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            exit_within(CLOSING_SECONDS)
        else:
            self.limit_stopping(delay=0)
        super().handle_exit(sig, frame)
