"""Keeps the garbage collector away from what stays: imported modules and collected tests.

It is given as `-p` in pyproject.toml, so that it comes before conftest.py, which imports most.
"""

import gc

import pytest

gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
