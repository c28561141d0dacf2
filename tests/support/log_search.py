"""Captures all logs of the application while tests run, and fails tests that leak secrets.

Captured are records of every logger at every level, standard error (the access log of applications
within the process), and the logs of servers that tests start.
"""

import logging
from collections.abc import Generator, Iterator

import pytest

from app.logs import CONSOLE, set_levels
from app.testing.leaks import SECRETS
from tests.support import servers

# Fake servers of tests, which log what they receive.
NOT_OURS = ("mail.log",)


class LogCapture(logging.Handler):
    """Keeps log records as they would be written, with tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter(CONSOLE))
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name not in NOT_OURS:
            self._lines.append(self.format(record))

    def listen(self) -> None:
        """Start, or continue after a command in this process has configured its own logs."""
        set_levels("DEBUG")
        if self not in logging.root.handlers:
            logging.root.addHandler(self)

    def take(self) -> str:
        """Returns what was logged since the last call."""
        lines, self._lines = self._lines, []
        return "\n".join(lines)


LOG_CAPTURE = LogCapture()


def pytest_configure() -> None:
    LOG_CAPTURE.listen()


def pytest_runtest_setup() -> None:
    LOG_CAPTURE.listen()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "teardown":
        found = list(dict.fromkeys(leaks(report.capstderr)))
        if found:
            report.outcome = "failed"
            report.longrepr = "\n".join(("The application logged", *found))
    return report


def leaks(stderr: str) -> Iterator[str]:
    """Search what was logged since the last call; lines of several tests count for the last one."""
    captured = {"a log record": LOG_CAPTURE.take(), "standard error": stderr} | servers.logged()
    for where, text in captured.items():
        for leak in SECRETS.leaks_in(text):
            yield f"in {where}, {leak}"
