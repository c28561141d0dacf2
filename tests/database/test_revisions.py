"""The revisions that are read from files are those that Alembic finds."""

from pathlib import Path
from textwrap import dedent

import pytest
from alembic.script import ScriptDirectory

from app.database.migrations import config
from app.database.revisions import NO_BRANCHES, Branches, head, heads, known_revisions
from app.errors import Misconfigured
from tests.support.servers import ROOT

NOTES = ROOT / "examples/notes/my_api/notes/migrations"
# As `alembic revision` writes them: with annotations, and a merge of two.
FORKED = {
    "first.py": """
        from collections.abc import Sequence

        revision: str = "forked_1"
        down_revision: str | None = None
        branch_labels: str | Sequence[str] | None = ("forked",)
    """,
    "left.py": "revision = 'forked_2'\ndown_revision = 'forked_1'",
    "right.py": "revision = 'forked_3'\ndown_revision = 'forked_1'",
    "merge.py": "revision = 'forked_4'\ndown_revision = ('forked_2', 'forked_3')",
    "next.py": "revision = 'forked_5'\ndown_revision = 'forked_3'\ndepends_on = '0001'",
}


def write(directory: Path, files: dict[str, str]) -> Branches:
    for name, text in files.items():
        (directory / name).write_text(dedent(text), encoding="utf-8")
    return Branches((directory,))


def assert_found_by_alembic(branches: Branches) -> None:
    scripts = ScriptDirectory.from_config(config(branches=branches))
    assert heads(branches) == set(scripts.get_heads())
    assert known_revisions(branches) == {each.revision for each in scripts.walk_revisions()}


def test_the_revisions_of_portico_are_those_that_alembic_finds() -> None:
    assert_found_by_alembic(NO_BRANCHES)
    assert {head()} == heads(NO_BRANCHES)


def test_the_revisions_of_another_module_are_those_that_alembic_finds() -> None:
    assert_found_by_alembic(Branches((NOTES,)))
    assert heads(Branches((NOTES,))) == {head(), "notes_0002"}


def test_forks_merges_and_annotations_are_read_as_alembic_does(tmp_path: Path) -> None:
    branches = write(tmp_path, FORKED)
    assert_found_by_alembic(branches)
    assert heads(branches) == {head(), "forked_4", "forked_5"}


def test_a_computed_revision_is_refused(tmp_path: Path) -> None:
    branches = write(tmp_path, {"computed.py": "revision = str(1)\ndown_revision = None"})
    with pytest.raises(Misconfigured) as refused:
        heads(branches)
    reason = "revision and down_revision must be written as plain text"
    assert str(refused.value) == f"{tmp_path / 'computed.py'}: {reason}"
