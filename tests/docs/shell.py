"""A shell that keeps its variables and its directory from one block to the next."""

import os
import pty
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SECONDS = 180
STOP_SECONDS = 30
# Each block is run by a shell of its own, which begins with what the one before has left. One
# that does not end is saved before each command, since what follows goes on meanwhile.
PRELUDE = """
save() {
  declare -p | grep -v '^declare -[[:alpha:]-]*r' >"$SHELL_STATE/variables"
  pwd >"$SHELL_STATE/directory"
}
[ ! -f "$SHELL_STATE/variables" ] || . "$SHELL_STATE/variables"
[ ! -f "$SHELL_STATE/directory" ] || cd "$(cat "$SHELL_STATE/directory")"
"""
# A block ends at its first failure; in a console the next command is typed after one.
STRICT = "set -euo pipefail"
CONSOLE = '(exit "$STATUS_BEFORE")'


class Failed(Exception):
    """A block does not do what its document says."""


@dataclass(frozen=True)
class Printed:
    status: int
    output: str
    errors: str


class Shell:
    def __init__(self, directory: Path, scratch: Path, environment: Mapping[str, str]) -> None:
        self._directory, self._scratch = directory, scratch
        self._state = scratch / "state"
        self._state.mkdir()
        self._environment = {**environment, "SHELL_STATE": str(self._state)}
        self._started = 0

    def run(self, commands: str, typed: Sequence[str] = ()) -> Printed:
        """Run commands to their end.

        Raises:
            Failed: One failed, or they took too long.

        """
        printed = self._finish(self._start(f"{STRICT}\n", commands, typed=typed, save_on="EXIT"))
        if printed.status != 0:
            raise Failed(f"exit code {printed.status}\n{printed.output}{printed.errors}")
        return printed

    def type(self, command: str, status_before: int) -> Printed:
        """Run one command of a console, whose output and errors come as one."""
        prefix = f"exec 2>&1\nSTATUS_BEFORE={status_before}\n"
        return self._finish(self._start(prefix, f"{CONSOLE}\n{command}", save_on="EXIT"))

    def start(self, commands: str) -> "Running":
        """Run commands of which the last one does not end by itself."""
        return self._start(f"{STRICT}\n", commands, save_on="DEBUG")

    def variable(self, name: str) -> str:
        return self.run(f'printf %s "${{{name}-}}"').output

    @property
    def directory(self) -> Path:
        """Where the last block has left the shell."""
        file = self._state / "directory"
        return Path(file.read_text().rstrip("\n")) if file.exists() else self._directory

    def _start(
        self, prefix: str, commands: str, *, save_on: str, typed: Sequence[str] = ()
    ) -> "Running":
        self._started += 1
        script = self._scratch / f"block-{self._started}.sh"
        script.write_text(f"{PRELUDE}trap save {save_on}\n{prefix}{commands}\n")
        return Running(script, self._directory, self._environment, typed)

    @staticmethod
    def _finish(running: "Running") -> Printed:
        ends = time.monotonic() + SECONDS
        while running.process.poll() is None:
            if time.monotonic() > ends:
                running.kill()
                raise Failed(f"not at an end after {SECONDS} s\n{running.output}{running.errors}")
            running.answer_prompt()
            time.sleep(0.02)
        running.close()
        return Printed(running.process.returncode, running.output, running.errors)


class Running:
    """A process with a session of its own, so that it can be stopped with all that it started."""

    def __init__(
        self, script: Path, directory: Path, environment: Mapping[str, str], typed: Sequence[str]
    ) -> None:
        self._output, self._errors = script.with_suffix(".out"), script.with_suffix(".err")
        self._terminal, keyboard = pty.openpty()
        os.set_blocking(self._terminal, False)
        self._screen = b""
        self._typed = list(typed)
        self._answered: list[str] = []
        with self._output.open("w") as output, self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                [_bash(), script],
                cwd=directory,
                env=environment,
                stdin=keyboard if typed else subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        os.close(keyboard)

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def errors(self) -> str:
        return self._errors.read_text(errors="replace")

    def answer_prompt(self) -> None:
        """Type the next line, once something is printed that does not end its line."""
        if not self._typed:
            return
        prompts = [text for text in (self.output, self.errors, self._on_screen()) if text]
        new = [text for text in prompts if not text.endswith("\n") and text not in self._answered]
        if new:
            self._answered += new
            os.write(self._terminal, f"{self._typed.pop(0)}\n".encode())

    def _on_screen(self) -> str:
        """Returns what was printed on the terminal itself, where passwords are asked for."""
        with suppress(OSError):
            self._screen += os.read(self._terminal, 65536)
        return self._screen.decode(errors="replace")

    def close(self) -> None:
        os.close(self._terminal)

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"not stopped after {STOP_SECONDS} s") from None

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _bash() -> str:
    bash = shutil.which("bash")
    if bash is None:
        raise Failed("needs bash")
    return bash
