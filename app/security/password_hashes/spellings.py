"""A format of password hashes, and how one is described by a grammar."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.security.password_hashes.derivations import Derivation
from app.security.password_hashes.refusals import DAMAGED, Refused

BASE64 = r"[A-Za-z0-9+/._-]*={0,2}"
HEX = r"[0-9A-Fa-f]*"

Parts = Mapping[str, str]


class Format(Protocol):
    """One way of writing password hashes. No text is of two formats."""

    @property
    def name(self) -> str: ...

    def identify(self, text: str) -> bool:
        """Returns whether a text is of this format, damaged or not."""
        ...

    def read(self, text: str) -> Derivation:
        """Read a text of this format.

        Raises:
            Refused: it is damaged, or says something that is not supported.

        """
        ...


@dataclass(frozen=True)
class Spelling:
    """A format that regular expressions describe: how its texts begin, and the whole of them."""

    name: str
    beginning: str
    grammar: str
    derive: Callable[[Parts], Derivation]

    def identify(self, text: str) -> bool:
        return re.match(self.beginning, text) is not None

    def read(self, text: str) -> Derivation:
        parts = re.fullmatch(self.grammar, text)
        if parts is None:
            raise Refused(DAMAGED)
        return self.derive(parts.groupdict(default=""))
