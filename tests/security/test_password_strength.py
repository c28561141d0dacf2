"""The estimate of guesses: at most zxcvbn's, in bounded time, and high for good passwords."""

import itertools
import math
import secrets
import string
import time
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from zxcvbn import matching, zxcvbn
from zxcvbn.adjacency_graphs import ADJACENCY_GRAPHS
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from app.security.password_limits import MAX_GUESSES
from app.security.password_strength import estimated_guesses
from app.testing.settings import settings_of

# zxcvbn looks up all parts of a password, once for each combination of letter substitutions.
MAX_LOOKUPS = 100_000
MIN_GUESSES = settings_of().password_min_guesses
SOPHIA = "\u03a3\u03bf\u03c6\u03af\u03b1\u03c2"
CONTEXT = ("ada.lovelace@example.com", "ada", "lovelace", "example", "portico", "İpek", SOPHIA)
CHARACTERS = string.ascii_letters + string.digits + string.punctuation

Draw = Callable[[st.SearchStrategy[Any]], Any]


def texts_of(*alphabets: str) -> st.SearchStrategy[str]:
    return st.one_of(*(st.text(alphabet, min_size=1, max_size=20) for alphabet in alphabets))


@st.composite
def words(draw: Draw) -> str:
    """A word of a frequency list or of the context, varied as people do."""
    lists = [*FREQUENCY_LISTS.values(), CONTEXT]
    ranked = draw(st.sampled_from(lists))
    word = draw(st.one_of(st.sampled_from(ranked), st.sampled_from(ranked[:100])))
    varied = "".join(draw(st.sampled_from(spellings_of(each))) for each in word)
    cased = draw(st.sampled_from([str, str.upper, str.capitalize, str.swapcase]))
    return draw(st.sampled_from([word, cased(word), cased(varied), varied[::-1], word[::-1]]))


def spellings_of(character: str) -> list[str]:
    substitutes = matching.L33T_TABLE.get(character, [])
    return [character, character, character.upper()[:1], *substitutes]


@st.composite
def sequences(draw: Draw) -> str:
    start, step = draw(st.integers(33, 0x3C9)), draw(st.integers(-5, 5))
    codes = [start + step * each for each in range(draw(st.integers(2, 40)))]
    return "".join(chr(code) for code in codes if 32 < code < 0x2FFF)


@st.composite
def walks(draw: Draw) -> str:
    """Neighbours on a keyboard, one after another."""
    graph: dict[str, list[str | None]] = draw(st.sampled_from([*ADJACENCY_GRAPHS.values()]))
    walk = draw(st.sampled_from([*graph]))
    for _ in range(draw(st.integers(2, 25))):
        keys = draw(st.sampled_from([keys for keys in graph[walk[-1]] if keys]))
        walk += draw(st.sampled_from(keys))
    return walk


@st.composite
def dates(draw: Draw) -> str:
    date = draw(st.dates())
    forms = ["%d{}%m{}%Y", "%Y{}%m{}%d", "%m{}%d{}%y", "%y{}%d{}%m"]
    separator = draw(st.sampled_from(["", "/", "-", ".", "_", " ", "\\"]))
    return date.strftime(draw(st.sampled_from(forms)).format(separator, separator))


PIECES = st.one_of(
    words(),
    sequences(),
    walks(),
    dates(),
    st.from_regex(r"\A(19|20)[0-9]{2}\Z"),
    texts_of(string.digits, string.ascii_lowercase, CHARACTERS),
    texts_of("aab1!l|7t+", "İi\u0307s" + SOPHIA, "ab"),
    st.text(min_size=1, max_size=12),
)


@st.composite
def repeats(draw: Draw) -> str:
    repeated = draw(PIECES) * draw(st.integers(2, 12))
    return repeated[: len(repeated) - draw(st.integers(0, 3))]


@st.composite
def passwords(draw: Draw) -> str:
    pieces = st.one_of(PIECES, PIECES, repeats())
    joined = "".join(draw(pieces) for _ in range(draw(st.sampled_from([1, 2, 2, 2, 3]))))
    start = draw(st.sampled_from([0, 0, 0, 1]))
    length = draw(st.sampled_from([20, 40, 80, 256]))
    return joined[start:][:length] or "a"


def lookups_of(password: str) -> int:
    """Returns an upper bound of the number of lookups that zxcvbn makes."""
    groups = matching.relevant_l33t_subtable(password, matching.L33T_TABLE).values()
    return len(password) ** 2 * math.prod(len(group) for group in groups)


def by_zxcvbn(password: str, context: tuple[str, ...] = ()) -> int:
    return int(zxcvbn(password, list(context), max_length=256)["guesses"])


@hypothesis.settings(
    max_examples=300, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
@hypothesis.given(password=passwords(), context=st.sampled_from([(), CONTEXT]))
def test_the_estimate_is_at_most_that_of_zxcvbn(password: str, context: tuple[str, ...]) -> None:
    hypothesis.assume(lookups_of(password) <= MAX_LOOKUPS)

    assert estimated_guesses(password, context) <= by_zxcvbn(password, context)


@pytest.mark.parametrize(
    "password",
    [
        "İpassword12",
        "İİİİpassword",
        "drowssapİ",
        SOPHIA.upper() + "1815",
        "1" + SOPHIA + SOPHIA,
        "\u0661\u0669\u0669\u0661-1-1",
        "abc\nabc\nabc\n",
        "password24-12-1990",
        "12241990zygomorphous",
        "monkey1903",
        "1903monkey",
        "12345678" * 32,
        "aab" * 85,
    ],
)
@pytest.mark.parametrize("context", [(), CONTEXT])
def test_the_estimate_is_at_most_that_of_zxcvbn_for_unusual_characters_and_lengths(
    password: str, context: tuple[str, ...]
) -> None:
    assert estimated_guesses(password, context) <= by_zxcvbn(password, context)


def test_the_estimate_of_a_random_password_is_the_maximum() -> None:
    assert estimated_guesses("".join(secrets.choice(CHARACTERS) for _ in range(40))) == MAX_GUESSES


@pytest.mark.parametrize(
    "password",
    [
        "12345678",
        "123456789",
        "1234567890",
        "87654321",
        "123456789012345",
        "qwerty123456",
        "1q2w3e4r5t6y",
        "letmein123",
        "Passw0rd!",
        "p@55w0rd",
        "abcabcabcabc",
        "zaq12wsx",
        "19901224",
        "Summer2026",
        "Password2031",
        "2026london",
    ],
)
def test_a_common_password_is_below_the_default_limit(password: str) -> None:
    assert estimated_guesses(password) < MIN_GUESSES


def test_the_10000_most_used_passwords_of_eight_characters_are_below_the_default_limit() -> None:
    used = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= 8][:10_000]

    assert [each for each in used if estimated_guesses(each, CONTEXT) >= MIN_GUESSES] == []
    assert len(used) == 10_000


@pytest.mark.parametrize(
    "password",
    [
        "portico123",
        "P0rtico!2024",
        "1portico1",
        "PorticoPorticoPortico",
        "Lovelace1",
        "Lovelace10121815",
        "ecalevol12",
        "adalovelace1815",
        "ada.lovelace@example.com",
        "lovelace-password1",
        SOPHIA.upper() + "1815",
    ],
)
def test_words_of_the_context_do_not_make_a_password_stronger(password: str) -> None:
    assert estimated_guesses(password, CONTEXT) < MIN_GUESSES


def test_the_context_of_one_password_does_not_affect_the_next() -> None:
    password = "zygomorphous7" * 2
    alone = estimated_guesses(password)

    assert estimated_guesses(password, ["zygomorphous"]) < MIN_GUESSES <= alone
    assert by_zxcvbn(password, ("zygomorphous",)) < MIN_GUESSES
    assert estimated_guesses(password) == alone


@pytest.mark.parametrize("length", [16, 20, 40])
def test_passwords_of_a_password_manager_reach_the_highest_estimate(length: int) -> None:
    made = ["".join(secrets.choice(CHARACTERS) for _ in range(length)) for _ in range(1000)]

    assert [each for each in made if estimated_guesses(each, CONTEXT) < MAX_GUESSES] == []


@pytest.mark.parametrize("separator", [" ", "-", ""])
def test_passphrases_of_five_words_reach_the_highest_estimate(separator: str) -> None:
    words = [word for word in FREQUENCY_LISTS["english_wikipedia"][:8000] if len(word) > 2]
    made = [separator.join(secrets.choice(words) for _ in range(5)) for _ in range(1000)]

    assert [each for each in made if estimated_guesses(each, CONTEXT) < MAX_GUESSES] == []


def costly_passwords() -> Iterator[str]:
    """Yield passwords of 256 characters that are slow in zxcvbn, or in one of our searches."""
    shorter, longer = "a", "ab"
    while len(longer) < 256:
        shorter, longer = longer, longer + shorter
    yield longer[:256]  # a Fibonacci word: as many repeats as a text can have
    yield longer[255::-1]
    yield "".join("ab"[each.bit_count() % 2] for each in range(256))
    yield "".join("abcdefghi"[(each & -each).bit_length() - 1] for each in range(1, 257))
    yield from ("a" * 256, "a" * 255 + "b", "a" * 128 + "b" + "a" * 127, ("a" * 16 + "b") * 15)
    yield "4@8({[<3691!|70$5+%2" * 12 + "passwordpassword"
    yield from ("qw" * 128, "QwqW" * 64, "1!Qq" * 64, "qazxswedcvfrtgbnhyujmkiolp" * 9)
    yield from ("1/1/91" * 42, "19911211" * 32, "İΣs" * 85, "ad" * 84 + "a" * 88)
    yield "ada" * 85


def test_the_cost_of_an_estimate_is_bounded() -> None:
    estimated_guesses("the dictionaries are read once")
    context = [*CONTEXT, *("".join(pair) * 20 for pair in itertools.product("abcd", repeat=2))]
    seconds = [seconds_of(password, context) for password in costly_passwords()]

    assert max(seconds) < 0.1


def seconds_of(password: str, context: list[str]) -> float:
    """Returns CPU seconds, the least of three runs."""
    tries: list[float] = []
    for _ in range(3):
        started = time.thread_time()
        estimated_guesses(password, context)
        tries.append(time.thread_time() - started)
    return min(tries)
