"""Excludes imported modules and collected tests from garbage collection.

pyproject.toml loads it with `-p`, before conftest.py, which imports most modules.
"""

import gc

import pytest

gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
