"""Finds the settings that a variable is a misspelling of."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from functools import lru_cache

# So many settings with the same first word are a family: no other program has it by accident.
MIN_FAMILY_SIZE = 8
# Many programs prefix their variables with their name, so operators may try it here.
PREFIX = "PORTICO_"


def intended_settings(
    variable: str, settings: Collection[str], files: Collection[str], *, strict: bool
) -> list[str]:
    """Returns the settings that `variable` may be a misspelling of; none if it is itself a setting.

    A name is a misspelling if the same words are joined or separated differently, or if a word has
    one letter too many, missing, wrong, or swapped with its neighbour. The plural of a whole name,
    a number after a word and a different first letter are not misspellings: `LOG_LEVELS`,
    `DATABASE_URL2` and `READ_TIMEOUT_SECONDS` are names that other programs use.

    Args:
        variable: In upper case.
        settings: All names of settings, in upper case.
        files: The variables that name the file of a setting, in upper case. They do not count
            towards the size of a family.
        strict: For a file written for these settings only: there a plural is a misspelling too, a
            word left out or added within a name, and every name that begins like a family of
            settings (`LIMIT_`, `THROTTLE_`).

    """
    known = (*settings, *files)
    bare = variable.removeprefix(PREFIX)
    if bare != variable and bare in known:
        return [bare]
    # People disable a variable with a leading underscore.
    if variable in known or variable.startswith("_"):
        return []
    near = [name for name in known if _is_near(variable, name, strict=strict)]
    return near or (_closest_in_family(variable, settings) if strict else [])


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
    return few and all(_is_typo(*pair) for pair in others)


def _is_typo(theirs: str, ours: str) -> bool:
    if theirs.rstrip("0123456789") == ours:
        return False
    if theirs == f"{ours.removesuffix('IES')}Y":
        return True
    if abs(len(theirs) - len(ours)) > 1:
        return False
    begins_alike = theirs[:1] == ours[:1] or theirs[:2] == ours[1::-1]
    return begins_alike and not _with_one_letter_less(theirs).isdisjoint(
        _with_one_letter_less(ours)
    )


def _with_one_letter_less(word: str) -> set[str]:
    """Returns the word and its forms with one letter removed: words one typo apart share one."""
    return {word, *(word[:place] + word[place + 1 :] for place in range(len(word)))}


def _lacks_a_word(theirs: Sequence[str], ours: Sequence[str]) -> bool:
    """Whether one name is the other with an inner word left out, not the first or last one."""
    if len(ours) < 3:
        return False
    shorter, longer = sorted((theirs, ours), key=len)
    inner = range(1, len(longer) - 1)
    return any((*longer[:place], *longer[place + 1 :]) == shorter for place in inner)


def _closest_in_family(variable: str, settings: Collection[str]) -> list[str]:
    """Returns the most similar setting of the family that the variable would belong to."""
    counts = Counter(_words(setting)[0] for setting in settings)
    first = _words(variable)[0]
    if counts[first] < MIN_FAMILY_SIZE:
        return []
    family = [setting for setting in settings if _words(setting)[0] == first]
    return get_close_matches(variable, family, n=1, cutoff=0)


@lru_cache(1024)
def _words(name: str) -> tuple[str, ...]:
    return tuple(re.split(r"[^A-Z0-9]+", name))
