"""Recovery codes: their form, how people write them, and what is stored."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security import recovery_codes

USER, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
CODES = st.text(recovery_codes.ALPHABET, min_size=16, max_size=16)
SEPARATORS = st.text(" \t\n-\u00a0\u2010\u2011\u2013\u2014\u2212", max_size=3)
# What people write, and read, for each other.
CONFUSED = {"0": "0oO", "1": "1iIlL"}


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a code, and a way to write it."""
    code = draw(CODES)
    written = [draw(SEPARATORS)]
    for character in code:
        choices = CONFUSED.get(character, character + character.lower())
        written += [draw(st.sampled_from(choices)), draw(SEPARATORS)]
    return code, "".join(written)


def test_ten_codes_of_80_bits_in_groups_are_made() -> None:
    sets = [recovery_codes.make() for _ in range(50)]

    assert {len(each) for each in sets} == {10}
    codes = [code for each in sets for code in each]
    assert len(set(codes)) == 500
    form = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}")
    assert all(form.fullmatch(code) for code in codes)
    # 32 characters of 5 bits.
    assert len(set("".join(codes)) - {"-"}) == 32


@given(spellings())
def test_a_code_is_read_in_any_spelling(spelling: tuple[str, str]) -> None:
    code, written = spelling

    expected = code if len(written) <= recovery_codes.MAX_CHARACTERS else None
    assert recovery_codes.read(written) == expected


@given(st.text(max_size=120))
def test_whatever_is_read_is_a_code(text: str) -> None:
    code = recovery_codes.read(text)

    assert code is None or re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{16}", code)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "3K7Q-8ZFM-11XV-PW0",
        "3K7Q-8ZFM-11XV-PW0CC",
        "3K7Q-8ZFM-11XV-PW0U",
        "3K7Q_8ZFM_11XV_PW0C",
        "\uff13K7Q-8ZFM-11XV-PW0C",
        "3K7Q-8ZFM-11XV-PW0C" + " " * 100,
        "\ud800" * 16,
    ],
)
def test_anything_else_is_no_code(text: str) -> None:
    assert recovery_codes.read(text) is None


def test_the_longest_text_that_is_read_has_a_hundred_characters() -> None:
    code = "3K7Q-8ZFM-11XV-PW0C"

    assert recovery_codes.read(code + " " * (100 - len(code))) == "3K7Q8ZFM11XVPW0C"
    assert recovery_codes.read(code + " " * (101 - len(code))) is None


@given(spellings(), st.binary(min_size=32, max_size=32))
def test_what_is_stored_depends_on_the_code_not_its_spelling(
    spelling: tuple[str, str], key: bytes
) -> None:
    code, written = spelling
    stored = recovery_codes.hashes(key, USER, [code])

    if recovery_codes.read(written) is not None:
        assert recovery_codes.hashes(key, USER, [written]) == stored
    assert recovery_codes.hashes(key, OTHER, [code]) != stored
    assert recovery_codes.hashes(key[:-1] + bytes([key[-1] ^ 1]), USER, [code]) != stored
    assert code.encode() not in stored[0]
