"""Runs the application on uvicorn until a signal stops it, in one process or in several."""

import gc
import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import uvicorn
from prometheus_client import Counter
from uvicorn.config import STARTUP_FAILURE

from app.server.bounded_server import BoundedServer
from app.server.options import ServerOptions
from app.server.protocol import LimitedHttpProtocol
from app.server.supervisor import Supervisor
from app.server.tested_versions import TESTED, ServerVersions


def run_server(options: ServerOptions, versions: ServerVersions, replaced: Counter) -> None:
    """Serve until a signal stops it; `replaced` counts replaced workers by reason.

    Raises:
        SystemExit: the application does not start.

    """
    is_tested = versions == TESTED
    config = _config(options, _portico_protocol(options) if is_tested else _h11_protocol(options))
    if options.workers > 1:
        delay = options.shutdown_delay_seconds if is_tested else 0
        timeout = options.worker_timeout_seconds
        Supervisor(config, timeout=timeout, delay=delay, replaced=replaced).run()
        # Otherwise the garbage collector visits all modules at exit: seconds on a busy machine.
        gc.freeze()
        return
    server = BoundedServer(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _config(options: ServerOptions, protocol: Mapping[str, Any]) -> uvicorn.Config:
    return uvicorn.Config(
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level=options.log_level.lower(),
        log_config=None,
        timeout_graceful_shutdown=options.shutdown_timeout_seconds,
        **protocol,
    )


def _portico_protocol(options: ServerOptions) -> dict[str, Any]:
    return {"app": options.app, "http": LimitedHttpProtocol}


def _h11_protocol(options: ServerOptions) -> dict[str, Any]:
    """Returns the options for uvicorn's own h11 protocol, which works with any version."""
    return {
        "app": options.app_with_head_checks,
        "http": "h11",
        "interface": "asgi3",
        "limit_concurrency": options.max_connections,
        "h11_max_incomplete_event_size": options.max_head_bytes,
        "timeout_keep_alive": math.ceil(options.keep_alive_seconds),
    }
