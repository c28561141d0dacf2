"""A format of password hashes, and a format that regular expressions describe."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.security.password_hashes.derivations import Derivation
from app.security.password_hashes.refusals import DAMAGED, UnusableHash

BASE64 = r"[A-Za-z0-9+/._-]*={0,2}"
HEX = r"[0-9A-Fa-f]*"

Parts = Mapping[str, str]


class Format(Protocol):
    """A text format of password hashes. Formats are disjoint: a text matches at most one."""

    @property
    def name(self) -> str: ...

    def identify(self, text: str) -> bool:
        """Returns whether a text is in this format, damaged or not."""
        ...

    def read(self, text: str) -> Derivation:
        """Parse a text in this format.

        Raises:
            UnusableHash: it is damaged, or uses something that is not supported.

        """
        ...


@dataclass(frozen=True)
class RegexFormat:
    """A format described by regular expressions: one for the prefix, one for the whole text."""

    name: str
    prefix: str
    pattern: str
    derive: Callable[[Parts], Derivation]

    def identify(self, text: str) -> bool:
        return re.match(self.prefix, text) is not None

    def read(self, text: str) -> Derivation:
        parts = re.fullmatch(self.pattern, text)
        if parts is None:
            raise UnusableHash(DAMAGED)
        return self.derive(parts.groupdict(default=""))
