"""Writes modules of other projects: packages on the path of this process."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from textwrap import dedent

# An imported package stays imported, so each has a unique name.
_numbers = count()

WriteModule = Callable[..., str]


@contextmanager
def module_writer(folder: Path) -> Generator[WriteModule]:
    """Returns a function that writes a package of these files and returns its name."""

    def write(**files: str) -> str:
        name = f"module_of_tests_{next(_numbers)}"
        package = folder / name
        package.mkdir()
        (package / "__init__.py").touch()
        for file, text in files.items():
            (package / f"{file}.py").write_text(dedent(text).replace("PACKAGE", name))
        return name

    sys.path.insert(0, str(folder))
    yield write
    sys.path.remove(str(folder))
