"""The options of a server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where to listen, what to run, and for how long.

    The limits of connections are for uvicorn's own protocol: Portico's takes them from the
    `ConnectionLimiter` of the application.
    """

    # Import paths of factories, `module:function`. The application of the second one checks heads
    # itself, for a protocol that does not.
    app: str
    app_with_head_checks: str
    host: str
    port: int
    workers: int
    log_level: str
    shutdown_delay_seconds: float
    shutdown_timeout_seconds: int
    worker_timeout_seconds: float
    keep_alive_seconds: float
    max_connections: int
    max_head_bytes: int
