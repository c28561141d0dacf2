"""Runs commands of the documentation as printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.postgres import BINARIES, Postgres

ROOT = Path(__file__).parents[2]
SECTION = r"^#+ {heading}$\n(.*?)(?=^#+ |\Z)"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SECONDS = 60


def shell_blocks(manual: str, heading: str) -> list[str]:
    """Returns the commands of a section, without those for containers."""
    text = (ROOT / manual).read_text()
    section = re.search(SECTION.format(heading=re.escape(heading)), text, re.DOTALL | re.MULTILINE)
    assert section, f"{manual} has no section {heading}"
    return [block for block in BLOCK.findall(section[1]) if "docker" not in block]


def shell(server: Postgres, cwd: Path, commands: str, **environment: str) -> str:
    """Run commands as an operator does, with PostgreSQL's programs; returns what they print."""
    if not (cwd / "deploy").exists():
        (cwd / "deploy").symlink_to(ROOT / "deploy")
    places = (str(BINARIES), str(Path(sys.executable).parent), os.environ["PATH"])
    done = subprocess.run(
        ["/bin/sh", "-euc", commands],
        cwd=cwd,
        env={
            "PATH": os.pathsep.join(places),
            "HOME": str(cwd),
            "LANG": "C.UTF-8",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout
