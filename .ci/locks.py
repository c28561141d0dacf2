"""Writes the locks of this repository, and checks that the packages of each are compatible.

    python3 .ci/locks.py write             keeps versions that still meet the requirements
    python3 .ci/locks.py write --upgrade   takes the newest versions
    python3 .ci/locks.py check             installs each lock in an environment of its own

Portico has three locks, from pyproject.toml. Beside them, each `requirements.in` is locked in a
`requirements.txt`, and each `package.json` in a `package-lock.json`.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
UV = (sys.executable, "-m", "uv")
COMPILE = (
    *(*UV, "pip", "compile", "--quiet", "--universal", "--python-version=3.11"),
    *("--generate-hashes", "--no-header"),
)
LOCK_PACKAGES = (
    *("npm", "install", "--package-lock-only", "--ignore-scripts"),
    *("--no-audit", "--no-fund", "--silent"),
    # Otherwise a lock contains the host of the registry that was used.
    "--omit-lockfile-registry-resolved",
)
PROJECT = Path("pyproject.toml")
SERVER = Path("requirements.lock")
DEVELOPMENT = Path(".ci/requirements.lock")
IMAGE = Path("deploy/build.lock")
# The dependency group for building the image. All others are for development.
IMAGE_GROUP = "build"


@dataclass(frozen=True)
class Compilation:
    """One run of `uv pip compile`: in which folder, of what, into which lock."""

    folder: Path
    sources: tuple[str, ...]
    lock: str


def compilations() -> Iterator[Compilation]:
    """In an order in which each lock of Portico agrees with those before it."""
    top = Path()
    groups = [name for name in dependency_groups() if name != IMAGE_GROUP]
    development = [f"--group={name}" for name in groups]
    yield Compilation(top, (str(PROJECT),), str(SERVER))
    yield Compilation(top, (*development, f"-c={SERVER}"), str(DEVELOPMENT))
    yield Compilation(
        top, (f"--group={IMAGE_GROUP}", f"-c={SERVER}", f"-c={DEVELOPMENT}"), str(IMAGE)
    )
    for source in tracked("requirements.in"):
        yield Compilation(source.parent, (source.name,), "requirements.txt")


def dependency_groups() -> list[str]:
    project = tomllib.loads((ROOT / PROJECT).read_text(encoding="utf-8"))
    return list(project["dependency-groups"])


def tracked(name: str) -> list[Path]:
    """Returns the files of this name that Git knows, relative to the top."""
    command = ["git", "ls-files", "-z", "--", name, f"**/{name}"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(path) for path in listed.stdout.split("\0") if path]


def write(*, upgrade: bool) -> None:
    """Works on a copy, so that a failure leaves every lock as it was."""
    projects = list(compilations())
    packages = tracked("package.json")
    locks = [each.folder / each.lock for each in projects] + [lock_of(path) for path in packages]
    with TemporaryDirectory() as name:
        copy = Path(name)
        for kind in ("pyproject.toml", "requirements.in", "package.json", ".npmrc"):
            copy_files(ROOT, copy, tracked(kind))
        (copy / PROJECT).write_text(with_constraints([], []), encoding="utf-8")
        for lock in locks:
            (copy / lock).parent.mkdir(parents=True, exist_ok=True)
        if not upgrade:
            copy_files(ROOT, copy, [lock for lock in locks if (ROOT / lock).exists()])
        for each in projects:
            run([*COMPILE, f"--output-file={each.lock}", *each.sources], copy / each.folder)
        for path in packages:
            run(LOCK_PACKAGES, copy / path.parent)
        copy_files(copy, ROOT, locks)
    built_with = pins(IMAGE)
    constraints = sorted({*pins(SERVER), *pins(DEVELOPMENT), *built_with})
    (ROOT / PROJECT).write_text(with_constraints(constraints, built_with), encoding="utf-8")


def copy_files(source: Path, target: Path, paths: list[Path]) -> None:
    for path in paths:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)


def lock_of(package: Path) -> Path:
    return package.with_name("package-lock.json")


def pins(lock: Path) -> list[str]:
    """Returns what a lock names, without the hashes: `name==version`, and where it is needed."""
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    return [line.removesuffix("\\").strip() for line in lines if re.match(r"[a-z0-9]", line)]


def with_constraints(constraints: list[str], built_with: list[str]) -> str:
    """Returns pyproject.toml with other constraints of uv."""
    text = (ROOT / PROJECT).read_text(encoding="utf-8")
    text = with_list(text, "build-constraint-dependencies", built_with)
    return with_list(text, "constraint-dependencies", constraints)


def with_list(text: str, name: str, values: list[str]) -> str:
    lines = "".join(f"    {json.dumps(value)},\n" for value in values)
    written = f"{name} = [\n{lines}]" if values else f"{name} = []"
    pattern = re.compile(rf"^{name} = \[(\]|.*?^\])", re.MULTILINE | re.DOTALL)
    return pattern.sub(lambda _: written, text, count=1)


def check() -> None:
    environments = [(SERVER, DEVELOPMENT), (IMAGE,)]
    environments += [(path.with_suffix(".txt"),) for path in tracked("requirements.in")]
    for locks in environments:
        print("uv pip check:", *locks, flush=True)
        with TemporaryDirectory() as environment:
            run([*UV, "venv", "--quiet", "--clear", environment], ROOT)
            of = f"--python={environment}"
            run([*UV, "pip", "sync", "--quiet", of, "--require-hashes", *map(str, locks)], ROOT)
            run([*UV, "pip", "check", "--quiet", of], ROOT)


def run(command: Sequence[str], folder: Path) -> None:
    if subprocess.run(command, cwd=folder, check=False).returncode:
        sys.exit(f"failed, in {folder}: {' '.join(command)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="The locks of this repository.")
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write", help="write every lock")
    writing.add_argument("--upgrade", action="store_true", help="take the newest versions")
    commands.add_parser("check", help="check that the packages of each lock are compatible")
    arguments = parser.parse_args()
    if arguments.command == "write":
        write(upgrade=arguments.upgrade)
    else:
        check()


main()
