"""Compares answers."""

from typing import Any, cast


def by_path(answer: Any) -> Any:
    """Returns an answer with its errors by path: their order depends on timing."""
    if not isinstance(answer, dict):
        return answer
    answered = cast("dict[str, Any]", answer)
    if "errors" not in answered:
        return answered
    return answered | {"errors": sorted(answered["errors"], key=_path)}


def _path(error: Any) -> str:
    return str(error["path"])
