"""Alembic's own command, in a process that has imported no other tables than it needs."""

import subprocess
import sys
from pathlib import Path

from app.testing.settings import SECRET

ROOT = Path(__file__).parents[2]


def alembic(url: str, *arguments: str) -> str:
    """Returns the output of `alembic` with these arguments, on this database."""
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env={"DATABASE_URL": url, "SECRET_KEY": SECRET},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
