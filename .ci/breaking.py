"""Fails if schema.graphql has breaking changes since the last merged version.

A breaking change may land when the topmost section of CHANGELOG.md has a line that begins with
its description, as this script prints it: `- Field User.email was removed. Ask for ...`. The last
merged version is that of BASE_REF, or of the parent of HEAD.
"""

import os
import subprocess
import sys
from pathlib import Path

from graphql import build_schema
from graphql.utilities import find_breaking_changes

ROOT = Path(__file__).resolve().parents[1]


def merged_schema() -> str | None:
    """Returns the last merged schema; None if there is none."""
    named = os.environ.get("BASE_REF")
    ref = named or "HEAD~1"
    if named and git("rev-parse", "--verify", "--quiet", f"{named}^{{commit}}") is None:
        sys.exit(f"BASE_REF names no commit: {named}")
    return git("show", f"{ref}:schema.graphql")


def git(*arguments: str) -> str | None:
    run = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    return run.stdout if run.returncode == 0 else None


def announced_lines() -> tuple[str, ...]:
    """The lines of the changelog's topmost section, without Markdown's bullets and backticks."""
    changelog = ROOT / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8") if changelog.exists() else ""
    _, _, sections = f"\n{text}".partition("\n## ")
    topmost, _, _ = sections.partition("\n## ")
    return tuple(line.replace("`", "").lstrip("-*+ ") for line in topmost.splitlines())


def main() -> None:
    landed = merged_schema()
    if landed is None:
        print("0 breaking changes: there is no earlier schema")
        return
    current = (ROOT / "schema.graphql").read_text(encoding="utf-8")
    changes = find_breaking_changes(build_schema(landed), build_schema(current))
    descriptions = [change.description for change in changes]
    announced = announced_lines()
    silent = [text for text in descriptions if not any(a.startswith(text) for a in announced)]
    for description in silent:
        print(f"BREAKING, and not in the changelog: {description}")
    print(f"{len(descriptions)} breaking changes, {len(silent)} not announced")
    sys.exit(1 if silent else 0)


main()
