"""Which settings the name of a variable is a misspelling of."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from functools import lru_cache

# As many settings with one first word are a family that no other program has by accident.
FAMILY = 8
# Other programs put their name before their variables.
PREFIX = "PORTICO_"


def meant_by(
    variable: str, settings: Collection[str], files: Collection[str], *, strict: bool
) -> list[str]:
    """Returns the settings that `variable` nearly names; none if it is one, or something else.

    A name is nearly another if the same words are joined or separated differently, or if a word
    has one letter too many, missing, wrong, or swapped with its neighbour. The plural of a
    whole name, a number behind a word and another first letter make another name: `LOG_LEVELS`,
    `DATABASE_URL2` and `READ_TIMEOUT_SECONDS` are names that other programs have.

    Args:
        variable: In upper case.
        settings: All names of settings, in upper case.
        files: The variables that name a file with a setting in it, in upper case. They count for
            no family: they are no settings more.
        strict: For a file that is written for these settings: a plural is a misspelling there, so
            is a word left out or added within a name, and whatever begins as a family of settings
            does (`LIMIT_`, `THROTTLE_`).

    """
    known = (*settings, *files)
    bare = variable.removeprefix(PREFIX)
    if bare != variable and bare in known:
        return [bare]
    # People disable a variable with a leading underscore.
    if variable in known or variable.startswith("_"):
        return []
    near = [name for name in known if _is_near(variable, name, strict=strict)]
    return near or (_relative(variable, settings) if strict else [])


def _is_near(variable: str, setting: str, *, strict: bool) -> bool:
    if variable == f"{setting}S" and not strict:
        return False
    theirs, ours = _words(variable), _words(setting)
    if "".join(theirs) == "".join(ours):
        return True
    if len(theirs) != len(ours):
        return strict and _lacks_a_word(theirs, ours)
    others = [pair for pair in zip(theirs, ours, strict=True) if pair[0] != pair[1]]
    few = len(others) <= max(1, len(ours) // 2)
    return few and all(_is_slip(*pair) for pair in others)


def _is_slip(theirs: str, ours: str) -> bool:
    if theirs.rstrip("0123456789") == ours:
        return False
    if theirs == f"{ours.removesuffix('IES')}Y":
        return True
    if abs(len(theirs) - len(ours)) > 1:
        return False
    begins_alike = theirs[:1] == ours[:1] or theirs[:2] == ours[1::-1]
    return begins_alike and not _shortened(theirs).isdisjoint(_shortened(ours))


def _shortened(word: str) -> set[str]:
    """Two words that share one of these are one slip apart: with one letter less, or none."""
    return {word, *(word[:place] + word[place + 1 :] for place in range(len(word)))}


def _lacks_a_word(theirs: Sequence[str], ours: Sequence[str]) -> bool:
    """Whether one name is the other with a word left out, neither the first nor the last."""
    if len(ours) < 3:
        return False
    shorter, longer = sorted((theirs, ours), key=len)
    inner = range(1, len(longer) - 1)
    return any((*longer[:place], *longer[place + 1 :]) == shorter for place in inner)


def _relative(variable: str, settings: Collection[str]) -> list[str]:
    """Returns the most similar setting of the family that the variable would belong to."""
    counts = Counter(_words(setting)[0] for setting in settings)
    first = _words(variable)[0]
    if counts[first] < FAMILY:
        return []
    family = [setting for setting in settings if _words(setting)[0] == first]
    return get_close_matches(variable, family, n=1, cutoff=0)


@lru_cache(1024)
def _words(name: str) -> tuple[str, ...]:
    return tuple(re.split(r"[^A-Z0-9]+", name))
