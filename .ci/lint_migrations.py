"""Lints the SQL of every migration: what would keep others waiting, or could not be run again."""

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
    """What it runs, on a server that has every extension."""
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
            # A file each: what one promises about transactions says nothing about the next.
            file = Path(folder) / f"{Path(migration.path).stem}.sql"
            file.write_text(sql_of(migration), encoding="utf-8")
        linted = sorted(Path(folder).iterdir())
        return subprocess.run([SQUAWK, "--config", RULES, *linted], check=False).returncode


sys.exit(main())
