"""A time limit for stopping: when it is reached, the process ends whatever it is doing."""

import logging
import os
import threading

# How long logging may take: writing to standard error may hang.
REPORT_SECONDS = 1
REPORT = "Not stopped within %g s: ending without waiting for requests or tasks"

log = logging.getLogger(__name__)


def exit_within(seconds: float) -> None:
    """End this process after `seconds`, without waiting for threads, tasks or open files.

    Does nothing if the process ends before that. May be called again, also by a signal handler: the
    earliest limit counts. A thread enforces it, so code that never releases the GIL goes on; that
    takes a SIGKILL from another process. The exit code is 0, as the process was asked to end.
    """
    timer = threading.Timer(seconds, _exit, [seconds])
    timer.daemon = True
    timer.start()


def _exit(seconds: float) -> None:
    report = threading.Thread(target=log.warning, args=(REPORT, seconds), daemon=True)
    report.start()
    report.join(REPORT_SECONDS)
    os._exit(0)
