"""Finds commands of `portico` in documents, and what of them the command line does not know."""

import re
from collections.abc import Generator, Sequence

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_group

from app.cli.main import cli_of
from app.module_paths import PORTICO as MODULES
from tests.docs.pages import SHELL, prose, read, shell_lines

SPAN = re.compile(r"`([^`]+)`")
# Where a command begins, `ROLE=value portico …` and `uv run portico …` included.
COMMAND = re.compile(r"(?:^|[|&;(]\s*|\b(?:do|exec|run) |=\S* )portico (?P<words>\S.*)")
ENDS = re.compile(r"^(?:[|&;<>#].*|\d?>.*)$")
# Brackets, ellipses and the like say how often a word may come.
USAGE = "[](),.:…"
Command = TyperCommand | TyperGroup
# With the commands of the example.
PORTICO = get_group(cli_of((*MODULES, "my_api.notes")))


def unknown_commands(name: str, source: str) -> Generator[str]:
    """Returns one line for each command, option or argument that does not exist."""
    for place, words in _commands(name, source):
        for fault in _faults(PORTICO, words):
            yield f"{place}: portico {' '.join(words)}: {fault}"


def _commands(name: str, source: str) -> Generator[tuple[str, list[str]]]:
    blocks = read(name, source).blocks
    shown = "\n".join(block.text for block in blocks if block.language not in SHELL)
    spans = SPAN.findall(f"{prose(source)}\n{shown}")
    in_prose = [(name, " ".join(span.replace("\\|", "|").split())) for span in spans]
    for place, line in (*shell_lines(blocks), *in_prose):
        for command in COMMAND.finditer(line):
            yield place, _words(command["words"])


def _words(command: str) -> list[str]:
    """Returns the words of one command, without quotes and what the shell does with its output."""
    words = re.findall(r"\"[^\"]*\"|'[^']*'|\S+", command)
    end = next((place for place, word in enumerate(words) if ENDS.match(word)), len(words))
    return [word.strip(USAGE) for word in words[:end] if word.strip(USAGE)]


def _faults(command: Command, words: Sequence[str]) -> Generator[str]:
    if isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        for name in words[0].split("|"):
            yield from _faults_of_inner(command, name, words[1:])
        return
    yield from (f"there is no option {name}" for name in _options(words) - _known(command))
    allowed = [each.nargs for each in command.params if isinstance(each, TyperArgument)]
    given = len(list(_arguments(command, words)))
    if -1 not in allowed and given > sum(allowed):
        yield f"{given} arguments, where {sum(allowed)} are taken"


def _faults_of_inner(group: TyperGroup, name: str, words: Sequence[str]) -> Generator[str]:
    inner = group.commands.get(name)
    if isinstance(inner, Command):
        yield from _faults(inner, words)
    else:
        yield f"there is no command {name}"


def _options(words: Sequence[str]) -> set[str]:
    parts = [part for word in words for part in word.split("|")]
    return {part.partition("=")[0] for part in parts if part.startswith("-") and part != "-"}


def _known(command: Command) -> set[str]:
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return {"--help", *options}


def _arguments(command: Command, words: Sequence[str]) -> Generator[str]:
    """Returns the words that are neither options nor values of them."""
    flags = {name for each in command.params if _is_flag(each) for name in each.opts}
    before = ""
    for word in words:
        is_value = before.startswith("--") and "=" not in before and before not in flags
        if not word.startswith("--") and not is_value:
            yield word
        before = word


def _is_flag(parameter: object) -> bool:
    return isinstance(parameter, TyperOption) and parameter.is_flag
