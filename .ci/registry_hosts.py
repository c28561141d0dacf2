"""Fails if a tracked file contains the host of a package registry: each machine has its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOSTS = r"(pypi|pythonhosted|npmjs)\.(org|com)"
FOUND, NOT_FOUND = 0, 1


def main() -> None:
    search = ["git", "grep", "-nIE", HOSTS]
    status = subprocess.run(search, cwd=ROOT, check=False).returncode
    if status == FOUND:
        sys.exit("These lines contain the host of a registry.")
    sys.exit(0 if status == NOT_FOUND else status)


main()
