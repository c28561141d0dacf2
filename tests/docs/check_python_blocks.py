"""Python in documents is checked and run. Named on pytest's command line: it needs the gates."""

from pathlib import Path

import pytest

from tests.docs.pages import read
from tests.docs.places import Place
from tests.docs.running import run
from tests.docs.shell import Failed


def test_a_block_that_prints_what_is_shown_passes(tmp_path: Path) -> None:
    run(read("a.md", "```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n"), Place(tmp_path))


def test_a_block_with_an_error_of_types_fails(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"(?s)^a.md:1: .*reportOperatorIssue"):
        run(read("a.md", '```python\nprint("a" + 1)\n```\n'), Place(tmp_path))
