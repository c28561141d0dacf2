"""Copies a lock from standard input without a package and what only that package needs."""

import re
import sys


def without(package: str, lock: str) -> str:
    """Remove a package, and all packages that only removed ones need."""
    entries = {_name(entry): entry for entry in re.split(r"^(?=\w)", lock, flags=re.MULTILINE)}
    if package not in entries:
        raise SystemExit(f"{package} is not in the lock: is there still something to leave out?")
    out = {package}
    while more := {name for name in entries.keys() - out if _needed_by(entries[name], out)}:
        out |= more
    return "".join(entry for name, entry in entries.items() if name not in out)


def _name(entry: str) -> str:
    return re.split(r"[^\w.-]", entry, maxsplit=1)[0]


def _needed_by(entry: str, packages: set[str]) -> bool:
    """Whether only these need it: `# via one`, or `# via` and a line for each."""
    needed_by = set(re.findall(r"^    #(?: via|  ) (.+)$", entry, re.MULTILINE))
    return bool(needed_by) and needed_by <= packages


if __name__ == "__main__":
    sys.stdout.write(without(sys.argv[1], sys.stdin.read()))
