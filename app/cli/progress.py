"""Progress of long commands: a bar on a terminal, a line every few seconds elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LINE_SECONDS = 5


class Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


class Meter:
    """Shows how much is done, of a total if there is one, the rate, and the remaining time."""

    def __init__(self, console: Console, name: str, total: int | None) -> None:
        self._console = console
        self._name = name
        self._total = total
        self._started = self._printed_at = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(
            *columns, Rate(), TimeRemainingColumn(), console=console, disable=not self._is_terminal
        )
        self._task = self._bar.add_task(name, total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    @property
    def _is_terminal(self) -> bool:
        return self._console.is_terminal

    def at(self, done: int) -> None:
        self._bar.update(self._task, completed=done)
        now = time.monotonic()
        if self._is_terminal or now - self._printed_at < LINE_SECONDS:
            return
        self._printed_at, rate = now, done / (now - self._started)
        of_all = "" if self._total is None else f"/{self._total:,}"
        left = ""
        if rate and self._total is not None:
            left = f", {(self._total - done) / rate:,.0f} s left"
        self._console.print(f"{self._name} {done:,}{of_all}, {rate:,.0f}/s{left}")
