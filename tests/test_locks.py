"""The locks: developers install the versions that CI has tested."""

import re
import tomllib
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = ["requirements.lock", ".ci/requirements.lock", "deploy/build.lock"]


def uv_settings() -> dict[str, Any]:
    project: Any = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project["tool"]["uv"]


def pinned(*locks: str) -> set[str]:
    text = "".join((ROOT / lock).read_text(encoding="utf-8") for lock in locks)
    return set(re.findall(r"^([a-z0-9][^\\\n]*?) *\\$", text, re.MULTILINE))


def test_uv_is_constrained_to_the_versions_of_the_locks() -> None:
    """Otherwise run `python3 .ci/locks.py write`."""
    constraints = uv_settings()["constraint-dependencies"]

    assert sorted(constraints) == sorted(pinned(*LOCKS))


def test_the_build_is_constrained_to_the_versions_of_the_image() -> None:
    constraints = uv_settings()["build-constraint-dependencies"]

    assert sorted(constraints) == sorted(pinned("deploy/build.lock"))


@pytest.mark.parametrize(("one", "other"), [*combinations(LOCKS, 2)])
def test_locks_name_the_same_versions_of_what_they_share(one: str, other: str) -> None:
    first, second = versions(one), versions(other)
    shared = first.keys() & second.keys()

    assert {name: first[name] for name in shared} == {name: second[name] for name in shared}


def versions(lock: str) -> dict[str, set[str]]:
    """Returns the versions of each package: several if they differ between Pythons."""
    found: dict[str, set[str]] = {}
    for pin in pinned(lock):
        name, _, rest = pin.partition("==")
        found.setdefault(name, set()).add(rest.partition(" ")[0])
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_each_lock_pins_exactly_and_with_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.findall(r"^[a-z0-9].*(?:\n .*)*", text, re.MULTILINE)

    assert entries
    assert [each for each in entries if "==" not in each or "--hash=sha256:" not in each] == []
