"""That everybody who changes Portico gets the versions that CI has tested."""

import re
import tomllib
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


def test_uv_is_held_to_the_versions_of_the_locks() -> None:
    """Otherwise run `python3 .ci/locks.py write`."""
    constraints = uv_settings()["constraint-dependencies"]

    assert sorted(constraints) == sorted(pinned(*LOCKS))


def test_the_build_is_held_to_the_versions_of_the_image() -> None:
    constraints = uv_settings()["build-constraint-dependencies"]

    assert sorted(constraints) == sorted(pinned("deploy/build.lock"))


def test_the_locks_name_one_version_of_a_package() -> None:
    named = {pin.partition(" ")[0] for pin in pinned(*LOCKS)}
    packages = [pin.partition("==")[0] for pin in named]

    assert sorted(packages) == sorted(set(packages))


@pytest.mark.parametrize("lock", LOCKS)
def test_each_lock_pins_exactly_and_with_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.findall(r"^[a-z0-9].*(?:\n .*)*", text, re.MULTILINE)

    assert entries
    assert [each for each in entries if "==" not in each or "--hash=sha256:" not in each] == []
