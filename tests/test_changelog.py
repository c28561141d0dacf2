"""The changelog has the version of the project."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_first_section_has_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    headings = re.findall(r"^## (.*)$", changelog, re.MULTILINE)

    assert re.fullmatch(
        rf"{re.escape(project['version'])} - (Unreleased|\d{{4}}-\d{{2}}-\d{{2}})", headings[0]
    )
    assert len(headings) == len(set(headings))
