"""Checks that bytes are plain CBOR, as authenticators encode it (CTAP 2.2, section 8).

The library decodes all of CBOR, and encodes again what it has decoded. With tags a few bytes of a
stranger become regular expressions that take seconds to compile, or structures that refer to parts
of themselves and are gigabytes when encoded.
"""

# CTAP allows 4 for messages; what is signed is deeper only with extensions that nobody asks for.
MAX_DEPTH = 8
MIN_AUTHENTICATOR_DATA = 37
FLAGS_AT = 32
HAS_KEY, HAS_EXTENSIONS = 0x40, 0x80
# Of the key: the model of the authenticator, and then the length of the id.
ID_LENGTH_AT, ID_AT = 53, 55

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
FALSE, TRUE, NULL = 20, 21, 22
# Larger arguments follow in 1, 2, 4 or 8 bytes. 31 stands for a length that is not known yet.
LARGEST_INLINE, ONE_BYTE, EIGHT_BYTES = 23, 24, 27


class NotPlain(ValueError):
    """Not CBOR, or not the CBOR of authenticators."""


def check_item(data: bytes) -> None:
    """Check that the bytes are one item.

    Raises:
        NotPlain: they are not.

    """
    if _end_of_item(data, 0, MAX_DEPTH) != len(data):
        raise NotPlain("bytes follow the item")


def check_authenticator_data(data: bytes) -> None:
    """Check the key and the extensions in authenticator data (WebAuthn Level 3, 6.1).

    Raises:
        NotPlain: they are not plain CBOR, or something else follows.

    """
    if len(data) < MIN_AUTHENTICATOR_DATA:
        raise NotPlain("the data ends too early")
    flags, end = data[FLAGS_AT], MIN_AUTHENTICATOR_DATA
    if flags & HAS_KEY:
        id_length = int.from_bytes(data[ID_LENGTH_AT:ID_AT], "big")
        end = _end_of_map(data, ID_AT + id_length)
    if flags & HAS_EXTENSIONS:
        end = _end_of_map(data, end)
    if end != len(data):
        raise NotPlain("bytes follow the data")


def _end_of_map(data: bytes, start: int) -> int:
    if start >= len(data) or data[start] >> 5 != MAP:
        raise NotPlain("not a map")
    return _end_of_item(data, start, MAX_DEPTH)


def _end_of_item(data: bytes, start: int, depth: int) -> int:
    """Returns where the item ends. Each one has a byte at least, so this takes linear time."""
    if start >= len(data):
        raise NotPlain("the data ends too early")
    if depth == 0:
        raise NotPlain("nested too deeply")
    kind, argument, end = _head(data, start)
    if kind in {BYTES, TEXT}:
        end += argument
    elif kind in {ARRAY, MAP}:
        for _ in range(argument * 2 if kind == MAP else argument):
            end = _end_of_item(data, end, depth - 1)
    if end > len(data):
        raise NotPlain("the data ends too early")
    return end


def _head(data: bytes, start: int) -> tuple[int, int, int]:
    """Returns the major type (RFC 8949, section 3), the argument, and where the head ends."""
    kind, argument = data[start] >> 5, data[start] & 0b11111
    if kind == TAG or (kind == SIMPLE and argument not in {FALSE, TRUE, NULL}):
        raise NotPlain("a tag, or a value that authenticators do not use")
    if argument <= LARGEST_INLINE:
        return kind, argument, start + 1
    if argument > EIGHT_BYTES:
        raise NotPlain("no length")
    size = 1 << (argument - ONE_BYTE)
    end = start + 1 + size
    # Some programs do not write the shortest head, such as a map with a length of two bytes.
    return kind, int.from_bytes(data[start + 1 : end], "big"), end
