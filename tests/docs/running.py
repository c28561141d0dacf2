"""Runs the blocks of a page, one after the other, as its reader does."""

import json
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
from graphql import GraphQLError, build_schema, parse, validate

from tests.docs import files, outputs
from tests.docs.pages import SHELL, Block, Page, console
from tests.docs.places import ROOT, Place
from tests.docs.shell import Failed, Running, Shell

# Commands that run until they are stopped.
ENDLESS = re.compile(r"^[^#\n]*\bportico (?P<what>serve|worker)\b(?!.*--help)", re.MULTILINE)
PORT = re.compile(r"\bportico serve\b(?!.*--port)")
START_SECONDS = 120
ANSWER_SECONDS = 30
OUTPUT_SECONDS = 15
SCHEMA = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))


class Run:
    """A page in its place, from the first block to the last."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._shell = Shell(place.checkout, place.scratch, place.environment)
        self._server: Running | None = None
        self._serves_requests = False
        self._names: outputs.Names = {}
        self._printed = ""
        self._files: list[Path] = []

    def block(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            Failed: It does something else than its document says.

        """
        if block.not_run:
            return
        if block.output:
            self._compare(block)
        elif block.language in SHELL:
            self._commands(block)
        elif block.title:
            self._file(block)
        else:
            self._check(block)

    def finish(self) -> None:
        """Check what takes all of the page: the source files that it has its reader write."""
        files.compile_typescript(self._files)
        files.check_package(self._files, files.python_of(self._shell.directory))
        self.stop()

    def stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.stop()

    def _check(self, block: Block) -> None:
        checks: Mapping[str, Callable[[Block], None]] = {
            "console": self._console,
            "graphql": self._graphql,
            "python": self._python,
            "sql": self._sql,
            "ts": self._file,
            "tsx": self._file,
        }
        check = checks.get(block.language)
        if check is None:
            files.parse(block.language, block.text)
        else:
            check(block)

    def _here(self, block: Block) -> str:
        return outputs.with_names(self._place.here(block.text), self._names)

    def _commands(self, block: Block) -> None:
        commands = self._here(block)
        endless = ENDLESS.search(commands)
        if endless:
            self._start(commands, endless["what"])
        else:
            self._keep(self._shell.run(commands, block.typed).output)

    def _start(self, commands: str, what: str) -> None:
        """Start a server, and stop the one that the page has started before."""
        self.stop()
        loopback = commands.replace("--host 0.0.0.0", "--host 127.0.0.1")
        self._serves_requests = what == "serve"
        address = f"127.0.0.1:{self._place.port}"
        self._server = self._shell.start(PORT.sub(rf"\g<0> --port {self._place.port}", loopback))
        _wait_until_ready(
            self._server, address if self._serves_requests else self._place.management
        )
        self._keep(self._server.output)

    def _keep(self, printed: str) -> None:
        self._printed = self._place.as_printed(printed)
        self._place.output.write_text(printed)

    def _compare(self, block: Block) -> None:
        if block.output == "server":
            names = self._wait_for(block.text)
        else:
            names = outputs.names(block.text, self._printed)
        if names is None:
            raise Failed(f"shown:\n{block.text}\nprinted:\n{self._printed}")
        self._names |= names

    def _wait_for(self, shown: str) -> outputs.Names | None:
        """Returns the names in what the server prints, sooner or later."""
        if self._server is None:
            raise Failed("no server runs on this page")
        for _ in range(OUTPUT_SECONDS * 10):
            self._printed = self._place.as_printed(self._server.output + self._server.errors)
            names = outputs.found(shown, self._printed)
            if names is not None:
                return names
            time.sleep(0.1)
        return None

    def _console(self, block: Block) -> None:
        status = 0
        for command, shown in console(self._here(block)):
            printed = self._shell.type(command, status)
            status = printed.status
            self._keep(printed.output)
            names = outputs.names(shown, self._printed)
            if names is None:
                raise Failed(f"$ {command}\nshown:\n{shown}\nprinted:\n{self._printed}")
            self._names |= names

    def _graphql(self, block: Block) -> None:
        """Validate a document, and send it if a server runs, as who has `ACCESS_TOKEN`."""
        document = self._here(block)
        _validate(document)
        if self._server is not None and self._serves_requests:
            self._ask(document)

    def _ask(self, document: str) -> None:
        token = self._shell.variable("ACCESS_TOKEN")
        response = httpx.post(
            f"http://127.0.0.1:{self._place.port}/graphql",
            json={"query": document},
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=ANSWER_SECONDS,
        )
        self._keep(response.text)
        if "errors" in json.loads(response.text):
            raise Failed(response.text)

    def _python(self, block: Block) -> None:
        file = self._write(block, "snippet.py")
        python = files.python_of(self._shell.directory)
        files.check_python(file, python)
        self._keep(self._shell.run(f"'{python}' '{file}'").output)

    def _sql(self, block: Block) -> None:
        file = self._write(block, "snippet.sql")
        self._shell.run(f"psql --username postgres --set ON_ERROR_STOP=1 --file '{file}'")

    def _file(self, block: Block) -> None:
        """Write a file that the page has its reader write, or compare one of the repository."""
        kept = ROOT / block.title
        in_checkout = self._shell.directory == self._place.checkout
        if in_checkout and "/" in block.title and kept.is_file():
            _compare_files(block, kept.read_text(encoding="utf-8"))
            return
        if block.language == "diff" or block.appended:
            self._change(block)
            return
        if block.language == "python" and "/" not in block.title:
            self._python(block)
            return
        if block.language == "graphql":
            _validate(block.text)
        files.parse(block.language, block.text)
        self._write(block, f"snippet.{block.language}")

    def _change(self, block: Block) -> None:
        file = self._shell.directory / block.title
        text = file.read_text(encoding="utf-8")
        changed = f"{text}\n\n{block.text}" if block.appended else files.changed(text, block.text)
        file.write_text(changed, encoding="utf-8")

    def _write(self, block: Block, name: str) -> Path:
        file = self._shell.directory / (block.title or name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._here(block), encoding="utf-8")
        self._files.append(file)
        return file


def run(page: Page, place: Place) -> None:
    """Run a page up to its first block that fails.

    Raises:
        Failed: A block does something else than its document says.

    """
    with _nothing_left(place):
        running = Run(place)
        try:
            for block in page.blocks:
                with _placed(block.place):
                    running.block(block)
            with _placed(page.name):
                running.finish()
        finally:
            running.stop()


@contextmanager
def _placed(where: str) -> Generator[None]:
    try:
        yield
    except Failed as failed:
        raise Failed(f"{where}: {failed}") from failed


@contextmanager
def _nothing_left(place: Place) -> Generator[None]:
    """End what the page has started and not ended."""
    try:
        yield
    finally:
        left = [process for process in psutil.process_iter() if _started_in(process, place)]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)


def _started_in(process: psutil.Process, place: Place) -> bool:
    with suppress(psutil.Error):
        return process.environ().get("RUN_OF_DOCS") == place.environment["RUN_OF_DOCS"]
    return False


def _wait_until_ready(server: Running, address: str) -> None:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends:
        if server.process.poll() is not None:
            raise Failed(f"ended at once\n{server.output}{server.errors}")
        with suppress(httpx.TransportError):
            if httpx.get(f"http://{address}/health/ready").status_code == 200:
                return
        time.sleep(0.1)
    raise Failed(f"not ready after {START_SECONDS} s\n{server.output}{server.errors}")


def _validate(document: str) -> None:
    try:
        errors = validate(SCHEMA, parse(document))
    except GraphQLError as error:
        errors = [error]
    if errors:
        raise Failed("\n".join(str(error) for error in errors))


def _compare_files(block: Block, kept: str) -> None:
    if block.text.strip() not in kept:
        raise Failed(f"{block.title} says something else")
