"""What is hashed, MACed and derived under SECRET_KEY."""

from hypothesis import given
from hypothesis import strategies as st

from app.security.keys import Part, digest, encoded, mac

SURROGATES = ("Cs",)
parts = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.text(max_size=8),
        st.text("0123456789:bsi", max_size=8),
        st.integers(),
        # JSON carries what UTF-8 cannot.
        st.text(st.characters(categories=SURROGATES), max_size=2),
    ),
    max_size=4,
)


@given(parts, parts)
def test_two_lists_of_parts_are_never_encoded_alike(one: list[Part], other: list[Part]) -> None:
    assert (encoded(*one) == encoded(*other)) == (typed(one) == typed(other))


def typed(parts: list[Part]) -> list[tuple[str, Part]]:
    return [(type(part).__name__, part) for part in parts]


def test_where_a_part_ends_is_part_of_what_is_hashed() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert mac(b"key", "ab", "c") != mac(b"key", "a", "bc")
    assert mac(b"key", "1") != mac(b"key", 1)
