"""How answers are compared."""

from typing import Any, cast


def by_path(answer: Any) -> Any:
    """Returns an answer with its errors by path: they come in the order in which they happen."""
    if not isinstance(answer, dict):
        return answer
    answered = cast("dict[str, Any]", answer)
    if "errors" not in answered:
        return answered
    return answered | {"errors": sorted(answered["errors"], key=_path)}


def _path(error: Any) -> str:
    return str(error["path"])
