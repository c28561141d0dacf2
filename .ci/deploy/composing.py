"""Reads a compose file, with its variables filled in."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")


def composed(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Returns the file as compose reads it."""
    return _filled(yaml.safe_load(path.read_text()), variables)


def names(path: Path) -> dict[str, bool]:
    """Returns the variables that it reads, and whether each one is required."""
    found: dict[str, bool] = {}
    for name, kind, _ in VARIABLE.findall(path.read_text()):
        found[name] = found.get(name, False) or kind == ":?"
    return found


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    return VARIABLE.sub(lambda match: _value(match, variables), value) if _text(value) else value


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, rest = match.groups()
    value = variables.get(name, "")
    if not value and kind == ":?":
        raise SystemExit(f"compose: {name} is missing: {rest}")
    return value or (rest if kind == ":-" else "")
