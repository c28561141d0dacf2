"""Lints the SQL of every migration: long locks, and statements that cannot be run again."""

import io
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic.script import Script, ScriptDirectory

from alembic import command
from app.database import migrations

SQUAWK = Path(sys.executable).parent / "squawk"
RULES = Path(__file__).parent / "squawk.toml"


def sql_of(migration: Script) -> str:
    """Returns its SQL, for a server that has every extension."""
    printed = io.StringIO()
    config = migrations.config()
    config.output_buffer = printed
    revisions = f"{migration.down_revision or 'base'}:{migration.revision}"
    command.upgrade(config, revisions, sql=True)
    return printed.getvalue()


def main() -> int:
    scripts = ScriptDirectory.from_config(migrations.config())
    with TemporaryDirectory() as folder:
        for migration in scripts.walk_revisions():
            # One file each: their assumptions about transactions differ.
            file = Path(folder) / f"{Path(migration.path).stem}.sql"
            file.write_text(sql_of(migration), encoding="utf-8")
        linted = sorted(Path(folder).iterdir())
        return subprocess.run([SQUAWK, "--config", RULES, *linted], check=False).returncode


sys.exit(main())
