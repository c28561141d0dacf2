"""The check of SECRET_KEY: never laxer than zxcvbn."""

import base64
import string

import hypothesis
from hypothesis import strategies as st
from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from app.config.secret_strength import ESTIMATED_CHARACTERS, MIN_GUESSES, check

WORDS = st.sampled_from([word for words in FREQUENCY_LISTS.values() for word in words[:500]])
TEXTS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
KEYS = st.one_of(
    st.lists(st.one_of(WORDS, TEXTS), min_size=3, max_size=14).map("-".join),
    st.lists(WORDS, min_size=2, max_size=4).map(lambda words: "".join(words) * 4),
    st.binary(min_size=24, max_size=64).map(lambda key: base64.b64encode(key).decode()),
    st.binary(min_size=16, max_size=64).map(bytes.hex),
)


def is_accepted(key: str) -> bool:
    try:
        check(key)
    except ValueError:
        return False
    return True


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(key=KEYS)
def test_no_key_is_accepted_that_zxcvbn_could_guess(key: str) -> None:
    guesses = zxcvbn(key[:ESTIMATED_CHARACTERS])["guesses"]

    assert not is_accepted(key) or guesses >= MIN_GUESSES
