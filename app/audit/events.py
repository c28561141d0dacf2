"""Names of audit events, which modules declare as `noun.verb` with a meaning."""

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

NOUN_AND_VERB = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")


class EventName(StrEnum):
    """A name of audit events: noun and verb in the past tense, with its meaning.

    A name is never changed: recorded events keep it.
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
        """The name and its meaning, for the description in the GraphQL schema."""
        return f"`{self.value}` ({self.meaning})" if self.meaning else f"`{self.value}`"


@dataclass(frozen=True, slots=True)
class EventNames:
    """All names of audit events that modules declare."""

    names: tuple[EventName, ...]

    @classmethod
    def of(cls, *declared: type[EventName]) -> Self:
        """Returns the declared names in alphabetical order.

        Raises:
            ValueError: two modules declare the same name.

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
        """Whether all of these names are declared."""
        return set(names) <= set(map(str, self.names))


class RetentionEvent(EventName):
    AUDIT_TRIMMED = "audit.trimmed", "retention removes all events of the days before one day"
