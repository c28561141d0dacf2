"""Listens to all that the application logs while tests run, and fails those that made it leak.

Heard are records of every logger at every level, standard error (the access log of applications
within the process), and the logs of servers that tests start.
"""

import logging
from collections.abc import Generator, Iterator

import pytest

from app.logs import CONSOLE, set_levels
from tests.support import servers
from tests.support.leaks import SECRETS

# Servers that tests put in the place of somebody else's: they log what they are sent.
NOT_OURS = ("mail.log",)


class Ear(logging.Handler):
    """Keeps what is logged as it would be written, tracebacks too."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter(CONSOLE))
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name not in NOT_OURS:
            self._lines.append(self.format(record))

    def listen(self) -> None:
        """Begin, or go on where a command that ran in this process set up logs of its own."""
        set_levels("DEBUG")
        if self not in logging.root.handlers:
            logging.root.addHandler(self)

    def heard(self) -> str:
        """Give what was said since this was asked before."""
        lines, self._lines = self._lines, []
        return "\n".join(lines)


EAR = Ear()


def pytest_configure() -> None:
    EAR.listen()


def pytest_runtest_setup() -> None:
    EAR.listen()


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
    """Search all that was heard lately; of several tests' lines the last test is blamed."""
    heard = {"a log record": EAR.heard(), "standard error": stderr} | servers.logged()
    for where, text in heard.items():
        for leak in SECRETS.leaks_in(text):
            yield f"in {where}, {leak}"
