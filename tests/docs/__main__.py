"""Runs every block of README.md and docs/ as it is printed: `python -m tests.docs [PAGE…]`."""

import argparse
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.docs.pages import Block, InvalidDocument, Page, read
from tests.docs.places import ROOT, Place, documents
from tests.docs.running import run
from tests.docs.shell import Failed
from tests.support.postgres import postgres

LIMIT_SECONDS = 8 * 60
AT_ONCE = 2


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.docs", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="such as docs/clients/answers.md")
    names = parser.parse_args(arguments).pages or documents()
    try:
        pages = [read(name, (ROOT / name).read_text(encoding="utf-8")) for name in names]
    except InvalidDocument as invalid:
        sys.stderr.write(f"{invalid}\n")
        return 1
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = list(pool.map(_passes, pages)).count(False)
    _list_not_run([block for page in pages for block in page.blocks if block.not_run])
    seconds = time.monotonic() - started
    _say(f"{len(pages) - failures} pages as printed, {failures} not, in {seconds:.0f} s")
    if seconds > LIMIT_SECONDS and len(names) > 1:
        sys.stderr.write(f"More than {LIMIT_SECONDS} s: too long for every change.\n")
        return 1
    return 1 if failures else 0


def _passes(page: Page) -> bool:
    if not page.blocks:
        return True
    started = time.monotonic()
    try:
        with _place(page) as place:
            run(page, place)
    except Failed as failed:
        sys.stderr.write(f"FAILED {failed}\n")
        return False
    ran = sum(not (block.hidden or block.not_run) for block in page.blocks)
    _say(f"{page.name}: {ran} blocks in {time.monotonic() - started:.0f} s")
    return True


@contextmanager
def _place(page: Page) -> Generator[Place]:
    with tempfile.TemporaryDirectory(prefix="portico-docs-") as scratch:
        if not page.with_postgresql:
            yield Place(Path(scratch))
            return
        with postgres() as server:
            yield Place(Path(scratch), server)


def _list_not_run(blocks: Sequence[Block]) -> None:
    _say(f"Not run here, {len(blocks)}:")
    for block in blocks:
        _say(f"  {block.place}: {block.not_run}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
