"""Content negotiation: the media type of an answer (RFC 9110, 12.5.1; GraphQL over HTTP)."""

from functools import lru_cache
from typing import NamedTuple

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
HTML = "text/html"
MAX_RANGES = 50
CONTENT_TYPES = {name: f"{name}; charset=utf-8".encode() for name in (JSON, GRAPHQL_JSON)}


class _Range(NamedTuple):
    name: str
    quality: float


@lru_cache(maxsize=256)
def negotiate(accept: str | None) -> str | None:
    """Choose between the two media types of GraphQL; None if the client accepts neither."""
    if accept is None or not accept.strip():
        return JSON
    ranges = _ranges(accept)
    choices = [
        (quality_of(name, ranges), _is_named(name, ranges), name) for name in (JSON, GRAPHQL_JSON)
    ]
    # Of equal quality: a type that is named wins over one that a wildcard covers; of two that are
    # named, the newer; of two that are not, JSON.
    quality, _, name = max(
        choices, key=lambda choice: (choice[0], choice[1], choice[1] == (choice[2] == GRAPHQL_JSON))
    )
    return name if quality > 0 else None


@lru_cache(maxsize=256)
def prefers_html(accept: str) -> bool:
    """Whether HTML is preferred to both media types of GraphQL, as by a browser."""
    ranges = _ranges(accept)
    if not _is_named(HTML, ranges):
        return False
    return quality_of(HTML, ranges) >= max(
        quality_of(JSON, ranges), quality_of(GRAPHQL_JSON, ranges)
    )


def quality_of(name: str, ranges: list[_Range]) -> float:
    kind = name.partition("/")[0]
    for pattern in (name, f"{kind}/*", "*/*"):
        for candidate in ranges:
            if candidate.name == pattern:
                return candidate.quality
    return 0.0


def _is_named(name: str, ranges: list[_Range]) -> bool:
    return any(candidate.name == name and candidate.quality > 0 for candidate in ranges)


def _ranges(accept: str) -> list[_Range]:
    return [_range(part) for part in accept.split(",")[:MAX_RANGES]]


def _range(text: str) -> _Range:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return _Range(name, min(max(float(parameter[2:]), 0.0), 1.0))
            except ValueError:
                return _Range(name, 0.0)
    return _Range(name, 1.0)
