"""Files that commands write personal data to."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, cast

DASH = Path("-")


@contextmanager
def private_file(file: Path) -> Generator[BinaryIO]:
    """Open a file that only the user who runs the command can read; `-` is standard output."""
    if file == DASH:
        yield sys.stdout.buffer
        return
    if file.exists() and not file.is_file():
        # A pipe or a device is written to, and not replaced.
        with file.open("wb") as lines:
            yield lines
        return
    # It contains email addresses and hashes: only the owner may read it, even if the file existed
    # before. The file is replaced atomically.
    with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as draft:
        try:
            yield cast("BinaryIO", draft)
            draft.flush()
            Path(draft.name).replace(file)
        except BaseException:
            Path(draft.name).unlink()
            raise
