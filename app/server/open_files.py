"""The limit of open files: each connection is one."""

import logging
import resource

# Files that a process opens besides connections of clients.
OTHER_FILES = 300

log = logging.getLogger(__name__)


def allow_connections(max_connections: int) -> None:
    """Raise the limit of open files as far as the system allows; log a warning if it is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_connections + OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        log.warning(
            "MAX_CONNECTIONS=%d needs %d open files, ulimit -n is %d", max_connections, wanted, hard
        )
