"""Estimates how many guesses a password takes: at most zxcvbn's estimate, in bounded time."""

import re
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from app.imports import import_private_copy
from app.security.password_limits import MAX_GUESSES

# A copy without its dictionaries, which take 13 MiB: `RANKS` has what is needed of them.
_zxcvbn = import_private_copy("zxcvbn")
matching: Any = _zxcvbn.matching
scoring: Any = _zxcvbn.scoring
MIN_GUESSES_OF_TWO = 10_000
MIN_GUESSES_OF_PART = 50
MIN_GUESSES_OF_CHARACTER = 10
DIGITS_OF_MAX = 8
LONGEST_DATE = 10
YEAR = re.compile(r"20\d\d", re.ASCII)
# str.lower() has two forms of this letter.
SIGMAS = "\u03c3\u03c2"
# An exact count of keyboard walks with more turns would take cubic time.
MAX_TURNS = 9
# Shorter words of the context are found by accident in any password.
SHORTEST_CONTEXT_WORD = 3

Span = tuple[int, int]


def _look_alikes() -> list[set[str]]:
    """Returns groups of characters that substitute each other, directly or through a third.

    `1` substitutes both `i` and `l`. With one form for all three, a text is looked up once instead
    of once for each combination of substitutions.
    """
    groups: list[set[str]] = [set(SIGMAS)]
    for letter, substitutes in matching.L33T_TABLE.items():
        group = {letter, *substitutes}
        joined = [each for each in groups if each & group]
        groups = [each for each in groups if each not in joined]
        groups.append(group.union(*joined))
    return groups


COMMON_FORMS = str.maketrans({each: min(group) for group in _look_alikes() for each in group})


def estimated_guesses(password: str, context: Collection[str] = ()) -> int:
    """Estimate how many guesses a password takes, at most `MAX_GUESSES`.

    An attacker knows the words of the context, wherever they are in the password: only what is left
    after removing them has to be guessed.
    """
    estimator = Estimator(frozenset(form for word in context if word for form in _forms(word)))
    rest = estimator.without_context(password)
    return min(estimator.guesses(password), 2 * estimator.guesses(rest))


@dataclass(frozen=True, slots=True)
class Estimator:
    """zxcvbn's estimate for passwords of one or two patterns, with wider searches for each."""

    context: frozenset[str]
    estimates: dict[str, int] = field(default_factory=dict[str, int])

    def guesses(self, text: str) -> int:
        if text not in self.estimates:
            self.estimates[text] = self._guesses(Analysis.of(text)) if text else 1
        return self.estimates[text]

    def without_context(self, text: str) -> str:
        """Returns the text without the words of the context."""
        for word in sorted(self.context, key=lambda word: (-len(word), word)):
            if len(word) >= SHORTEST_CONTEXT_WORD:
                text = _without(text, word)
        return text

    def _guesses(self, analysis: "Analysis") -> int:
        length = len(analysis.text)
        whole = self._guesses_of_pattern(analysis, 0, length) + 1
        return min(
            MAX_GUESSES, whole, *(self._guesses_of_two(analysis, cut) for cut in range(1, length))
        )

    def _guesses_of_two(self, analysis: "Analysis", cut: int) -> int:
        first = self._guesses_of_part(analysis, 0, cut)
        second = self._guesses_of_part(analysis, cut, len(analysis.text))
        return 2 * first * second + MIN_GUESSES_OF_TWO

    def _guesses_of_part(self, analysis: "Analysis", start: int, end: int) -> int:
        floor = MIN_GUESSES_OF_CHARACTER if end - start == 1 else MIN_GUESSES_OF_PART
        return max(floor, self._guesses_of_pattern(analysis, start, end))

    def _guesses_of_pattern(self, analysis: "Analysis", start: int, end: int) -> int:
        return min(
            10 ** min(end - start, DIGITS_OF_MAX),
            analysis.patterns.get((start, end), MAX_GUESSES),
            self._guesses_of_word(analysis, start, end),
            self._guesses_of_repeat(analysis.text[start:end]),
        )

    def _guesses_of_word(self, analysis: "Analysis", start: int, end: int) -> int:
        length = len(analysis.text)
        forwards = [self._rank(form[start:end]) for form in analysis.forms]
        backwards = [self._rank(form[length - end : length - start]) for form in analysis.reversed]
        rank = min(*forwards, *(2 * each for each in backwards))
        if rank >= MAX_GUESSES:
            return MAX_GUESSES
        token: Any = {"token": analysis.text[start:end]}
        return rank * int(scoring.uppercase_variations(token))

    def _rank(self, form: str) -> int:
        return 1 if form in self.context else RANKS.of(form)

    def _guesses_of_repeat(self, text: str) -> int:
        period = (text + text).find(text, 1)
        if period == len(text):
            return MAX_GUESSES
        return self.guesses(text[:period]) * (len(text) // period)


@dataclass(frozen=True, slots=True)
class Analysis:
    """A text, its forms, and the patterns other than words at its start or end."""

    text: str
    forms: frozenset[str]
    reversed: frozenset[str]
    patterns: dict[Span, int]

    @classmethod
    def of(cls, text: str) -> "Analysis":
        return cls(text, _forms(text), _forms(text[::-1]), _patterns(text))


@dataclass(frozen=True, slots=True)
class Ranks:
    """The best rank of each form in frequency lists, in a tenth of the memory of a dict.

    If another text has the hash of a form, it has its rank too: its estimate is lower, not higher.
    """

    hashes: Sequence[int]
    ranks: Sequence[int]

    @classmethod
    def in_lists(cls, lists: Iterable[Iterable[str]]) -> Self:
        best: dict[int, int] = {}
        for words in lists:
            for rank, word in enumerate(words, 1):
                hashed = hash(_form(word))
                best[hashed] = min(rank, best.get(hashed, rank))
        hashes = sorted(best)
        return cls(array("q", hashes), array("i", (best[each] for each in hashes)))

    def of(self, form: str) -> int:
        wanted = hash(form)
        place = bisect_left(self.hashes, wanted)
        found = place < len(self.hashes) and self.hashes[place] == wanted
        return self.ranks[place] if found else MAX_GUESSES


def _forms(text: str) -> frozenset[str]:
    """Returns the form, and the longer one by which zxcvbn looks up a text that contains `İ`."""
    return frozenset((_form(text), text.lower().translate(COMMON_FORMS)))


def _form(text: str) -> str:
    """Returns a form of the same length, in which each character keeps its position."""
    return text.replace("İ", "I").lower().translate(COMMON_FORMS)


def _without(text: str, word: str) -> str:
    while (start := _form(text).find(word)) >= 0:
        text = text[:start] + text[start + len(word) :]
    return text


def _patterns(text: str) -> dict[Span, int]:
    patterns: dict[Span, int] = {}
    for (start, end), match in _matches(text):
        if start == 0 or end == len(text):
            guesses = int(scoring.estimate_guesses(match, text))
            patterns[start, end] = min(guesses, patterns.get((start, end), guesses))
    return patterns


def _matches(text: str) -> Iterator[tuple[Span, Any]]:
    yield from _with_spans(_spatial_matches(text), 0)
    yield from _with_spans(matching.sequence_match(text), 0)
    yield from _with_spans(matching.regex_match(text), 0)
    yield from _with_spans(_year_matches(text), 0)
    # date_match is quadratic in the number of dates: it gets only the two ends of a long text.
    yield from _with_spans(matching.date_match(text[:LONGEST_DATE]), 0)
    tail = max(0, len(text) - LONGEST_DATE)
    yield from _with_spans(matching.date_match(text[tail:]), tail)


def _year_matches(text: str) -> list[Any]:
    """Returns the years of this century; zxcvbn itself matches only those up to 2019."""
    return [
        {
            "pattern": "regex",
            "token": year.group(),
            "i": year.start(),
            "j": year.end() - 1,
            "regex_name": "recent_year",
            "regex_match": year,
        }
        for year in YEAR.finditer(text)
    ]


def _with_spans(matches: list[Any], offset: int) -> Iterator[tuple[Span, Any]]:
    for match in matches:
        yield (match["i"] + offset, match["j"] + offset + 1), match


def _spatial_matches(text: str) -> list[Any]:
    matches: list[Any] = matching.spatial_match(text)
    for match in matches:
        match["turns"] = min(match["turns"], MAX_TURNS)
    return matches


# First: the memory that it frees is used again for the ranks.
matching.RANKED_DICTIONARIES.clear()
RANKS = Ranks.in_lists(_zxcvbn.frequency_lists.FREQUENCY_LISTS.values())
_zxcvbn.frequency_lists.FREQUENCY_LISTS.clear()
