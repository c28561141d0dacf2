"""The encoding of what is hashed and MACed."""

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
        # JSON can carry lone surrogates, which UTF-8 cannot encode.
        st.text(st.characters(categories=SURROGATES), max_size=2),
    ),
    max_size=4,
)


@given(parts, parts)
def test_different_lists_of_parts_have_different_encodings(
    one: list[Part], other: list[Part]
) -> None:
    assert (encoded(*one) == encoded(*other)) == (typed(one) == typed(other))


def typed(parts: list[Part]) -> list[tuple[str, Part]]:
    return [(type(part).__name__, part) for part in parts]


def test_digests_and_macs_depend_on_the_boundaries_and_types_of_the_parts() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert mac(b"key", "ab", "c") != mac(b"key", "a", "bc")
    assert mac(b"key", "1") != mac(b"key", 1)
