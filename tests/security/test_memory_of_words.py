"""The words that secrets and passwords are compared with: not kept in memory as Python strings."""

import subprocess
import sys

import pytest
from zxcvbn.frequency_lists import FREQUENCY_LISTS

WORDS = sum(map(len, FREQUENCY_LISTS.values()))
# Each string is at least one block.
KEPT_BLOCKS = """
import gc
import sys
from importlib import import_module

module, function, text = sys.argv[1:]
import_module("app.imports")
gc.collect()
before = sys.getallocatedblocks()
getattr(import_module(module), function)(text)
gc.collect()
print(sys.getallocatedblocks() - before)
"""


@pytest.mark.parametrize(
    ("module", "function", "text"),
    [
        ("app.config.secret_strength", "check", "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"),
        ("app.security.password_strength", "estimated_guesses", "correct horse 77"),
    ],
)
def test_an_estimate_keeps_no_list_of_words(module: str, function: str, text: str) -> None:
    command = [sys.executable, "-c", KEPT_BLOCKS, module, function, text]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert int(done.stdout) < WORDS / 4
