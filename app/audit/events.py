"""Names of audit events: each module declares its own, as `noun.verb` with what it says."""

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

NOUN_AND_VERB = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")


class EventName(StrEnum):
    """What a module records: noun and verb, in the past tense, and what the name means.

    A name stays what it is: events that were recorded under it are kept.
    """

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        if not NOUN_AND_VERB.fullmatch(value):
            msg = f"{cls.__name__}: {value!r} is not a noun and a verb, such as 'note.created'"
            raise ValueError(msg)
        name = str.__new__(cls, value)
        name._value_ = value
        name.meaning = meaning
        return name

    @property
    def described(self) -> str:
        """The name as a description of the schema lists it."""
        return f"`{self.value}` ({self.meaning})" if self.meaning else f"`{self.value}`"


@dataclass(frozen=True, slots=True)
class EventNames:
    """All names that events of this server can have."""

    names: tuple[EventName, ...]

    @classmethod
    def of(cls, *declared: type[EventName]) -> Self:
        """Returns what these modules declare, in the order of the alphabet.

        Raises:
            ValueError: two of them declare the same name.

        """
        names = [name for each in declared for name in each]
        twice = [name for name, times in Counter(map(str, names)).items() if times > 1]
        if twice:
            raise ValueError(f"audit events are declared twice: {', '.join(twice)}")
        return cls(tuple(sorted(names)))

    @property
    def described(self) -> str:
        return ", ".join(name.described for name in self.names)

    def has(self, names: list[str]) -> bool:
        """Whether events can have all of these names."""
        return set(names) <= set(map(str, self.names))


class RetentionEvent(EventName):
    AUDIT_TRIMMED = "audit.trimmed", "retention removes all events of the days before one day"
