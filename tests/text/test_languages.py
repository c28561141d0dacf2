"""Language negotiation: the best match among the offered languages, whatever the header is."""

import hypothesis
import pytest
from hypothesis import strategies as st

from app.text.languages import MAX_CHARACTERS, best_language

OFFERED = ("en", "de", "pt-BR", "zh-Hant")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("de-AT", "de"),
        ("de-AT, en;q=0.5", "de"),
        ("fr, de;q=0.7, en;q=0.3", "de"),
        ("en;q=0.3, de;q=0.7", "de"),
        ("en, de", "en"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
        ("pt-br", "pt-BR"),
        ("pt-PT", None),
        ("zh-Hant-TW", "zh-Hant"),
        ("zh-Hans-CN", None),
        ("de;q=0", None),
        ("de;q=0.000, en", "en"),
        ("fr", None),
        ("*", None),
        ("fr, *;q=0.5", None),
        ("", None),
        (None, None),
    ],
)
def test_the_best_matching_language_is_chosen(header: str | None, language: str | None) -> None:
    assert best_language(header, OFFERED) == language


@pytest.mark.parametrize(
    "header",
    [
        "de;q=2",
        "de;q=0.7777",
        "de;q=-1",
        "de;q=nan",
        "de;level=1",
        "d",
        "deutsch",
        "../de",
        "de/../en",
        "de_DE",
        "de\x00",
        "ｄｅ",  # noqa: RUF001 - full-width letters
        "de-" + "a" * 9,
        "-de",
        "de-",
    ],
)
def test_malformed_parts_are_ignored(header: str) -> None:
    assert best_language(header, OFFERED) is None
    assert best_language(f"{header}, de;q=0.1", OFFERED) == "de"


def test_a_header_longer_than_any_browser_sends_is_ignored() -> None:
    longest = "de".ljust(MAX_CHARACTERS)

    assert best_language(longest, OFFERED) == "de"
    assert best_language(f"{longest} ", OFFERED) is None


RANGES = st.from_regex(
    r"[a-zA-Z*]{0,3}(-[a-zA-Z0-9]{0,9}){0,4}( ?; ?q=[0-9.]{0,5})?", fullmatch=True
)


@hypothesis.given(header=st.text() | st.lists(RANGES).map(",".join))
def test_only_offered_languages_are_chosen(header: str) -> None:
    assert best_language(header, OFFERED) in {*OFFERED, None}
