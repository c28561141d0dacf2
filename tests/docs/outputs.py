"""Compares what a document shows with what a command printed.

`…` stands for anything within its line, and for any lines where it is alone. What differs each
time matches anything of its form. A token or an id that a document shows stands for the one that
was printed from there on.
"""

import re
from collections.abc import Generator

# The first that fits counts.
FORMS = {
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
    "moment": r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "jwt": r"eyJ[\w-]+\.[\w-]+\.[\w-]+",
    "token": r"p[a-z]t_[\w-]{40,}",
    "recovery_code": r"[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}",
    "password": r"(?<=password )[\w-]{16}",
    "hash": r"[0-9a-f]{12,64}",
    "milliseconds": r'(?<="milliseconds":)\d+\.\d+',
    "revision": r"(?<=revision )\d{4}",
    "event": r"event \d+ of chain \d{4}-\d\d-\d\d/\d",
    "date": r"\d{4}-\d\d-\d\d",
    "count": r"\d+ (?:events?|chains?|checkpoints?)",
}
# Of these, what a document shows stands for what was printed, in the blocks that follow.
NAMED = ("uuid", "jwt", "token", "recovery_code", "password")
LINES, REST = "…\n", "…"
PIECES = re.compile(
    rf"(?P<lines>^{LINES})|(?P<rest>{REST})|"
    + "|".join(rf"(?P<{name}>\b{form}\b)" for name, form in FORMS.items()),
    re.MULTILINE,
)

# What was printed for each value that a document shows.
Names = dict[str, str]


def names(shown: str, printed: str) -> Names | None:
    """Returns what stands for the values shown; None if something else was printed.

    Both are compared without white space at the end of lines and of the whole.
    """
    match = re.fullmatch(_pattern(_tidy(shown)), _tidy(printed), re.MULTILINE)
    return None if match is None else _named(_tidy(shown), match)


def found(shown: str, printed: str) -> Names | None:
    """The same, for a part of what was printed."""
    match = re.search(_pattern(_tidy(shown)), _tidy(printed), re.MULTILINE)
    return None if match is None else _named(_tidy(shown), match)


def with_names(text: str, known: Names) -> str:
    """Returns a text of the document with what was printed in place of what was shown."""
    for shown, printed in known.items():
        text = text.replace(shown, printed)
    return text


def _named(shown: str, match: re.Match[str]) -> Names:
    values = [piece for piece in PIECES.finditer(shown) if piece.lastgroup in FORMS]
    printed = zip(values, match.groups(), strict=True)
    return {value[0]: text for value, text in printed if value.lastgroup in NAMED}


def _pattern(shown: str) -> str:
    return "".join(_pieces(shown))


def _pieces(shown: str) -> Generator[str]:
    end = 0
    for piece in PIECES.finditer(shown):
        yield re.escape(shown[end : piece.start()])
        yield _piece(piece.lastgroup or "")
        end = piece.end()
    yield re.escape(shown[end:])


def _piece(kind: str) -> str:
    if kind == "lines":
        return r"(?:.*\n)*?"
    return ".*?" if kind == "rest" else f"({FORMS[kind]})"


def _tidy(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.strip().splitlines())
