"""The number of usable cores, on a machine and in a container."""

from pathlib import Path

import pytest

from app.security.cores import cores


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("100000 100000", 1), ("150000 100000", 1), ("50000 100000", 1)],
)
def test_a_container_uses_the_cores_of_its_quota(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert cores(tmp_path / "cpu.max") == expected


@pytest.mark.parametrize("quota", ["max 100000", "6400000 100000", ""])
def test_without_a_lower_quota_all_cores_of_the_machine_are_used(
    tmp_path: Path, quota: str
) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert cores(tmp_path / "cpu.max") == cores(tmp_path / "nowhere") >= 1
