"""Reads Dockerfiles, as far as ours need it."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    name: str
    text: str


@dataclass(frozen=True)
class Stage:
    base: str
    instructions: list[Instruction]

    def last(self, name: str) -> str:
        """Returns the last instruction of this name, or None."""
        found = [each.text for each in self.instructions if each.name == name]
        return found[-1] if found else ""

    def environment(self) -> dict[str, str]:
        texts = (each.text for each in self.instructions if each.name == "ENV")
        return dict(pair.split("=", 1) for text in texts for pair in shlex.split(text))

    def labels(self) -> dict[str, str]:
        texts = (each.text for each in self.instructions if each.name == "LABEL")
        return dict(pair.split("=", 1) for text in texts for pair in shlex.split(text))

    def command(self, name: str) -> list[str]:
        """Read an ENTRYPOINT or CMD in exec form."""
        return json.loads(self.last(name) or "[]")

    def health(self) -> list[str]:
        _, _, command = self.last("HEALTHCHECK").partition("CMD ")
        return json.loads(command or "[]")


def stages(path: Path) -> list[Stage]:
    """Returns the stages in order. Heredocs are not supported."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, text = line.strip().partition(" ")
        if name == "FROM":
            found.append(Stage(text.split()[0], []))
        elif name:
            found[-1].instructions.append(Instruction(name, text.strip()))
    return found
