"""Counts the instructions of a running server with valgrind's callgrind."""

import re
import shutil
from pathlib import Path

from processes import BenchmarkFailed, run

CONTROL_SECONDS = 60
COUNTED = re.compile(r"^summary: (\d+)$", re.MULTILINE)


def require_valgrind() -> None:
    if shutil.which("valgrind") is None:
        raise BenchmarkFailed("valgrind is needed: apt-get install valgrind")


def valgrind_version() -> str:
    return run(["valgrind", "--version"], seconds=CONTROL_SECONDS).strip().removeprefix("valgrind-")


class Callgrind:
    """Counts what a process executes outside of the kernel, in all its threads."""

    def __init__(self, directory: Path) -> None:
        self._output = directory / "callgrind.out"
        self._dumps = 0

    @property
    def command(self) -> list[str]:
        """What the command of the process follows. It starts faster while nothing is counted."""
        return [
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={self._output}",
        ]

    def start(self, pid: int) -> None:
        self._control("--instr=on", pid)

    def reset(self, pid: int) -> None:
        self._control("--zero", pid)

    def counted(self, pid: int) -> int:
        """Returns the number of instructions since the last `reset`.

        Raises:
            BenchmarkFailed: valgrind wrote no count.

        """
        self._control("--dump", pid)
        self._dumps += 1
        dump = Path(f"{self._output}.{self._dumps}")
        found = COUNTED.search(dump.read_text(encoding="utf-8", errors="replace"))
        if found is None:
            raise BenchmarkFailed(f"callgrind wrote no summary to {dump.name}")
        return int(found[1])

    def _control(self, option: str, pid: int) -> None:
        run(["callgrind_control", option, str(pid)], seconds=CONTROL_SECONDS)
