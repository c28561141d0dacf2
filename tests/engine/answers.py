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


def order_of_keys(answer: Any) -> Any:
    """Returns the keys of all objects in an answer, in their order, which `==` does not compare."""
    if isinstance(answer, list):
        return [order_of_keys(each) for each in cast("list[Any]", answer)]
    if not isinstance(answer, dict):
        return None
    return [(key, order_of_keys(value)) for key, value in cast("dict[str, Any]", answer).items()]


def _path(error: Any) -> str:
    return str(error["path"])
