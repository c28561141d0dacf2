"""Runs the gates, which take less than a minute in all, and prints the output of those that fail.

    python3 .ci/check.py

`.ci/run` begins with them.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = (sys.executable, "-m", "uv")
# The slowest one first: the others run at the same time.
GATES = (
    ("pyright",),
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("deptry", "."),
    ("lint-imports",),
    ("portico", "schema", "export", "--check"),
    ("python", ".ci/breaking.py"),
    ("python", ".ci/lint_migrations.py"),
    ("python", ".ci/registry_hosts.py"),
    ("python", ".ci/build_docs.py"),
    ("pre-commit", "validate-config"),
)


def passes(gate: tuple[str, ...]) -> bool:
    started = time.monotonic()
    result = subprocess.run(
        [*UV, "run", "--no-sync", *gate],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    failed = result.returncode != 0
    verdict = f"{'FAILED' if failed else 'passed'} {' '.join(gate)}"
    seconds = f"({time.monotonic() - started:.1f} s)"
    # One call: the output of two gates is not mixed.
    print(f"{verdict} {seconds}\n{result.stdout if failed else ''}", end="", flush=True)
    return not failed


def main() -> None:
    subprocess.run([*UV, "sync", "--quiet", "--group=gates"], cwd=ROOT, check=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        passed = list(pool.map(passes, GATES))
    sys.exit(0 if all(passed) else 1)


main()
