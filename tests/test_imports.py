"""Imports by name: copies of libraries that nothing else shares."""

import json
import sys

from app.imports import import_private_copy


def test_a_private_copy_shares_no_module_with_the_library() -> None:
    before = dict(sys.modules)
    copy = import_private_copy("json")

    assert sys.modules == before
    assert copy is not json
    assert copy.decoder is not json.decoder
    assert copy.decoder.JSONDecoder is copy.JSONDecoder


def test_changing_a_private_copy_changes_no_other_copy() -> None:
    copy, other = import_private_copy("json"), import_private_copy("json")
    copy.decoder.BACKSLASH.clear()

    assert other.loads('"\\n"') == json.loads('"\\n"') == "\n"
