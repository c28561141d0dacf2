"""What a wheel of Portico installs."""

import subprocess
import sys
import tomllib
from email import message_from_bytes
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
DIST_INFO = f"portico-{PROJECT['version']}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*command, folder], cwd=ROOT, check=True, capture_output=True)
    [built] = folder.iterdir()
    return built


def files(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_a_wheel_installs_app_and_nothing_else(wheel: Path) -> None:
    assert {name.partition("/")[0] for name in files(wheel)} == {"app", DIST_INFO}


def test_a_wheel_has_all_files_that_are_needed_and_its_types(wheel: Path) -> None:
    modules = (ROOT / "app").rglob("*.py")
    migrations = (ROOT / "alembic").rglob("*.py")
    pages = (path for path in (ROOT / "app/http/link_pages").iterdir() if path.is_file())
    expected = {
        "app/py.typed",
        f"{DIST_INFO}/licenses/LICENSE",
        *(
            path.relative_to(ROOT).as_posix()
            for path in modules
            if "node_modules" not in path.parts
        ),
        *(f"app/{path.relative_to(ROOT).as_posix()}" for path in migrations),
        *(path.relative_to(ROOT).as_posix() for path in pages),
    }

    assert expected - files(wheel) == set()


def test_a_wheel_states_its_licence(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        metadata = message_from_bytes(archive.read(f"{DIST_INFO}/METADATA"))

    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Version"] == PROJECT["version"]
