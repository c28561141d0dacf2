"""What commands print: standard output, and lines of errors and warnings."""

import logging
import sys
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from app.logs import logs_json
from app.text.visible import one_line, visible

log = logging.getLogger("portico")


class SafeConsole(Console):
    """A console that escapes control characters, so that no text can move the cursor."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


out = SafeConsole(highlight=False, soft_wrap=True)
err = SafeConsole(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Print an error for each line of the message, and exit."""
    for line in message.rstrip("\n").split("\n"):
        to_stderr(logging.ERROR, line)
    sys.exit(code)


def to_stderr(level: int, line: str) -> None:
    """Print a line to standard error; as a record with LOG_FORMAT=json."""
    if logs_json():
        log.log(level, line)
    else:
        err.print(f"[red]portico:[/red] {escape(one_line(line))}")
