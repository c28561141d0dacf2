"""Language negotiation: `Accept-Language` (RFC 9110, 12.5.4) against the offered languages."""

import re
from collections.abc import Collection, Iterator

# Browsers send a few dozen characters. Longer headers are ignored.
MAX_CHARACTERS = 512
# A tag of language, script and region (RFC 5646); extensions do not affect the choice.
TAG = r"[a-z]{2,3}(?:-[a-z0-9]{2,8}){0,3}"
_WEIGHT = r"(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?"
_RANGE = re.compile(rf"[ \t]*({TAG}){_WEIGHT}[ \t]*", re.IGNORECASE | re.ASCII)


def best_language(accept_language: str | None, offered: Collection[str]) -> str | None:
    """Returns the offered tag that matches the header best (RFC 4647, 3.4); None if none does.

    `de-AT` matches `de` if `de-AT` is not offered. Malformed parts of the header are ignored.

    Args:
        accept_language: The header as it was sent; untrusted.
        offered: Language tags; the result is spelled as it is here.

    """
    spelled = {tag.lower(): tag for tag in offered}
    for wanted in _preferences(accept_language or ""):
        for tag in shortened(wanted):
            if tag in spelled:
                return spelled[tag]
    return None


def shortened(tag: str) -> Iterator[str]:
    """Yield a tag, then the tag without its last part, and so on."""
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]


def _preferences(header: str) -> list[str]:
    if len(header) > MAX_CHARACTERS:
        return []
    found = [match for part in header.split(",") if (match := _RANGE.fullmatch(part))]
    weighed = [(float(match[2] or 1), match[1].lower()) for match in found]
    # The order of the header decides between equal weights: the sort is stable.
    ordered = sorted(weighed, key=lambda each: each[0], reverse=True)
    return [tag for weight, tag in ordered if weight > 0]
