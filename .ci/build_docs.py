"""Builds the documentation strictly, into site/, and fails if a page loads from another host."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ZENSICAL = Path(sys.executable).parent / "zensical"
LOADED_FROM_ELSEWHERE = re.compile(r'<(?:link|script|img)[^>]*(?:href|src)="?(?:https?:)?//[^>]*>')


def main() -> None:
    built = subprocess.run([ZENSICAL, "build", "--clean", "--strict"], cwd=ROOT, check=False)
    if built.returncode:
        sys.exit(built.returncode)
    loaded = [
        f"{page.relative_to(ROOT)}: {element}"
        for page in sorted((ROOT / "site").rglob("*.html"))
        for element in LOADED_FROM_ELSEWHERE.findall(page.read_text(encoding="utf-8"))
    ]
    if loaded:
        sys.exit("\n".join(["These elements load from another host:", *loaded]))


main()
