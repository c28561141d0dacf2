"""Reads the fenced blocks of a document, and what comments in its source say about them.

A comment stands before the block that it is about, and no reader of the page sees it:

    <!-- not run here: needs Docker -->     the block is listed with the reason, and not run
    <!-- output -->                         what the block before prints on standard output
    <!-- output of the server -->           a part of what `portico serve` prints
    <!-- append -->                         added at the end of the file that its title names
    <!-- typed                              lines that a person types while the block runs
    difference engine 1
    -->
    <!-- run                                commands that set the scene for what follows
    portico db upgrade
    -->
    <!-- with PostgreSQL -->                the page has a PostgreSQL server of its own

A `json` or `text` block directly after one that is run is its output without a comment. With
`title="…"` a block is a file of that name: in the checkout of Portico a part of that file, which is
compared, and in other folders the whole file, which is written; a `diff` changes the file.
"""

import re
import textwrap
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal

LANGUAGES = (
    "bash",
    "caddy",
    "console",
    "diff",
    "graphql",
    "java",
    "jinja",
    "json",
    "nginx",
    "python",
    "sh",
    "sql",
    "text",
    "toml",
    "ts",
    "tsx",
    "yaml",
)
SHELL = ("sh", "bash")
# What has an output that the next block may show.
RUN = (*SHELL, "graphql", "python")
OUTPUTS = ("json", "text")
NOT_RUN = "not run here"
PART = re.compile(
    r"^(?P<indent>[ \t>]*)(?P<marks>`{3,}|~{3,})(?P<info>[^`\n]*)\n"
    r"(?P<text>.*?)^[ \t>]*(?P=marks)[`~]*[ \t]*$"
    r"|<!--(?P<comment>.*?)-->",
    re.DOTALL | re.MULTILINE,
)
FENCE = re.compile(r"^[ \t>]*(`{3}|~{3})", re.MULTILINE)
TITLE = re.compile(r'\btitle="([^"]+)"')

Output = Literal["", "command", "server"]


class InvalidDocument(Exception):
    """A document says something about its blocks that cannot be understood."""


@dataclass(frozen=True)
class Block:
    """A fenced block, or commands of a comment, which are `hidden`."""

    place: str
    language: str
    text: str
    title: str = ""
    not_run: str = ""
    output: Output = ""
    typed: tuple[str, ...] = ()
    hidden: bool = False
    appended: bool = False


@dataclass(frozen=True)
class Page:
    name: str
    blocks: tuple[Block, ...]
    with_postgresql: bool


@dataclass
class _Notes:
    """What comments have said since the last block."""

    not_run: str = ""
    output: Output = ""
    typed: tuple[str, ...] = ()
    appended: bool = False


@dataclass
class _Reading:
    name: str
    source: str
    notes: _Notes = field(default_factory=_Notes)
    with_postgresql: bool = False
    # Where the last block ended that was run, as long as nothing has been said since.
    run_until: int = -1

    def line(self, position: int) -> str:
        number = self.source.count("\n", 0, position) + 1
        return f"{self.name}:{number}"

    def blocks(self) -> Generator[Block]:
        for part in PART.finditer(self.source):
            comment = part["comment"]
            block = self._fence(part) if comment is None else self._comment(part, comment)
            if block:
                yield block

    def _comment(self, part: re.Match[str], comment: str) -> Block | None:
        word, _, rest = comment.strip().partition("\n")
        place = self.line(part.start())
        match word:
            case "run":
                return Block(place, "sh", textwrap.dedent(rest), hidden=True)
            case "typed":
                self.notes.typed = tuple(rest.splitlines())
            case "append":
                self.notes.appended = True
            case "output":
                self.notes.output = "command"
            case "output of the server":
                self.notes.output = "server"
            case "with PostgreSQL":
                self.with_postgresql = True
            case _ if word.startswith(NOT_RUN):
                self.notes.not_run = _reason(place, comment)
            case _:
                pass
        return None

    def _fence(self, part: re.Match[str]) -> Block:
        place, info = self.line(part.start()), part["info"]
        language, title = info.split(maxsplit=1)[0] if info.strip() else "", TITLE.search(info)
        if language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise InvalidDocument(f"{place}: a block of {language or 'no language'}: use {known}")
        notes, self.notes = self.notes, _Notes()
        block = Block(
            place=place,
            language=language,
            text=_without(part["indent"], part["text"]),
            title=title[1] if title else "",
            not_run=notes.not_run,
            output=notes.output or self._follows(part, language),
            typed=notes.typed,
            appended=notes.appended,
        )
        runs = language in RUN and not block.not_run
        self.run_until = part.end() if runs else -1
        return block

    def _follows(self, part: re.Match[str], language: str) -> Output:
        if self.run_until < 0 or language not in OUTPUTS:
            return ""
        return "" if self.source[self.run_until : part.start()].strip() else "command"


def read(name: str, source: str) -> Page:
    """Returns a document's blocks in their order.

    Raises:
        InvalidDocument: A block has no language or one that nothing checks, is not closed, or is
            not run for no reason.

    """
    reading = _Reading(name, source)
    blocks = tuple(reading.blocks())
    for fence in FENCE.finditer(prose(source)):
        raise InvalidDocument(f"{name}: a block is not closed, near {fence[0].strip()}")
    return Page(name, blocks, reading.with_postgresql)


def prose(source: str) -> str:
    """Returns a document without its blocks and comments."""
    return PART.sub("", source)


def shell_lines(blocks: Sequence[Block]) -> Generator[tuple[str, str]]:
    """Returns each command line of shell blocks and consoles with the place of its block."""
    for block in blocks:
        text = block.text.replace("\\\n", " ")
        if block.language in SHELL:
            yield from ((block.place, line) for line in text.splitlines())
        if block.language == "console":
            yield from ((block.place, command) for command, _ in console(block.text))


def console(text: str) -> Generator[tuple[str, str]]:
    """Returns each command of a console, and what it is shown to print."""
    for entry in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = entry.partition("\n")
        yield command, printed


def _reason(place: str, comment: str) -> str:
    reason = comment.strip().removeprefix(NOT_RUN).removeprefix(":").strip()
    if not reason:
        raise InvalidDocument(f"{place}: say why: <!-- {NOT_RUN}: … -->")
    return reason


def _without(indent: str, text: str) -> str:
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
