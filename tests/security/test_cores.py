"""How many threads hash passwords, on a machine and in a container."""

from pathlib import Path

import pytest

from app.security.cores import cores


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("100000 100000", 1), ("150000 100000", 1), ("50000 100000", 1)],
)
def test_a_container_uses_its_share_of_the_cores(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert cores(tmp_path / "cpu.max") == expected


@pytest.mark.parametrize("quota", ["max 100000", "6400000 100000", ""])
def test_where_nothing_is_less_all_of_the_machine_is_used(tmp_path: Path, quota: str) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert cores(tmp_path / "cpu.max") == cores(tmp_path / "nowhere") >= 1
