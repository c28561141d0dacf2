"""CBOR that is more than it looks, and that no authenticator sends."""

from collections.abc import Mapping

import cbor2

SHARED, REFERENCE, NAMESPACE, STRING_REFERENCE = 28, 29, 256, 25
REGULAR_EXPRESSION, BIG_FLOAT, DECIMAL, RATIONAL, MIME = 35, 5, 4, 30, 36


def head(kind: int, argument: int) -> bytes:
    """Returns the head of an item (RFC 8949, section 3) with an argument of 8 bytes."""
    return bytes([kind << 5 | 27]) + argument.to_bytes(8, "big")


def tagged(tag: int, item: bytes) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(tag, 0))[:-1] + item


def shared_pairs(levels: int) -> bytes:
    """Returns lists of two references to the list before: as many bytes as levels, times two."""
    lists = [tagged(SHARED, b"\x82\x00\x00")]
    for level in range(levels):
        reference = tagged(REFERENCE, cbor2.dumps(level))
        lists.append(tagged(SHARED, b"\x82" + reference * 2))
    return head(4, len(lists)) + b"".join(lists)


def slow_expression(ranges: int) -> bytes:
    """Returns a regular expression that takes some milliseconds to compile for each range."""
    return tagged(REGULAR_EXPRESSION, cbor2.dumps("(?i)" + "[ -\uffff]" * ranges))


# Each would take seconds, or more memory than there is, if it were decoded or encoded again.
BOMBS: Mapping[str, bytes] = {
    "a list with 2**20 references to itself": shared_pairs(20),
    "a regular expression": slow_expression(400),
    "a string, 900 times": tagged(
        NAMESPACE, head(4, 901) + cbor2.dumps("x" * 100) + tagged(STRING_REFERENCE, b"\x00") * 900
    ),
    "a list of itself": tagged(SHARED, b"\x81" + tagged(REFERENCE, b"\x00")),
}
# What CBOR has and authenticators do not use, or what is not CBOR.
UNUSUAL: Mapping[str, bytes] = {
    "a date": tagged(0, cbor2.dumps("2026-11-27T00:00:00Z")),
    "a time": tagged(1, cbor2.dumps(1e300)),
    "a large number": tagged(2, cbor2.dumps(b"\xff" * 3000)),
    "a large negative number": tagged(3, cbor2.dumps(b"\xff" * 3000)),
    "a decimal": tagged(DECIMAL, cbor2.dumps([10**15, 1])),
    "a large float": tagged(BIG_FLOAT, cbor2.dumps([2**40, 3])),
    "a fraction": tagged(RATIONAL, cbor2.dumps([1, 0])),
    "a message": tagged(MIME, cbor2.dumps("From: nobody\n\n" * 100)),
    "a set": tagged(258, b"\x82\x00\x00"),
    "an address": tagged(260, cbor2.dumps(b"\x7f\x00\x00\x01")),
    "a tag that nobody knows": tagged(2**64 - 1, b"\x00"),
    "300 tags": tagged(55799, b"") * 300 + b"\x00",
    "300 lists": b"\x81" * 300 + b"\x00",
    "2000 lists": b"\x81" * 2000 + b"\x00",
    "9 maps": b"\xa1\x00" * 9 + b"\x00",
    "a list without a length": b"\x9f\x00\xff",
    "a map without a length": b"\xbf\x00\x00\xff",
    "a string without a length": b"\x7f\x61x\xff",
    "bytes without a length": b"\x5f\x41x\xff",
    "an end": b"\xff",
    "undefined": b"\xf7",
    "a simple value": b"\xf8\xff",
    "not a number": b"\xf9\x7e\x00",
    "infinity": b"\xfb\x7f\xf0" + bytes(6),
    "a float": b"\xfb\x3f\xf0" + bytes(6),
    "reserved lengths": b"\x1c",
    "a key twice": b"\xa2\x01\x00\x01\x00",
    "a key twice, as a number and as true": b"\xa2\x01\x00\xf5\x00",
    "text that is not UTF-8": b"\x61\xff",
    "a surrogate": b"\x63\xed\xa0\x80",
    **{
        f"{name} of 2**{bits} entries": head(kind, 2**bits - 1)
        for kind, name in enumerate(("bytes", "text", "a list", "a map"), 2)
        for bits in (31, 32, 63, 64)
    },
}
