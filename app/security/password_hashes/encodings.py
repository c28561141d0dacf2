"""How formats write bytes and settings as text."""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping

from app.security.password_hashes.refusals import DAMAGED, UnusableHash

# passlib writes `.` where standard base64 has `+`; the URL-safe alphabet has `-` and `_`.
TO_STANDARD = str.maketrans(".-_", "++/")


def from_base64(text: str) -> bytes:
    """Decode base64 of either alphabet of RFC 4648 or of passlib, with padding or without.

    Raises:
        UnusableHash: it is not base64, or unused bits of the last character are set (RFC 4648,
            section 3.5), which means that it was changed after it was written.

    """
    bare = text.rstrip("=").translate(TO_STANDARD)
    try:
        decoded = b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        raise UnusableHash(DAMAGED) from None
    if b64encode(decoded).decode().rstrip("=") != bare:
        raise UnusableHash(DAMAGED)
    return decoded


def from_hex(text: str) -> bytes:
    """Decode hexadecimal digits.

    Raises:
        UnusableHash: it is not hexadecimal.

    """
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UnusableHash(DAMAGED) from None


def number(text: str | None) -> int:
    """Parse a decimal number of at most ten digits.

    Raises:
        UnusableHash: it is not such a number.

    """
    if text is None or not re.fullmatch(r"[0-9]{1,10}", text):
        raise UnusableHash(DAMAGED)
    return int(text)


def settings(text: str) -> Mapping[str, str]:
    """Parse `name=value,name=value`, as in PHC strings, in any order.

    Raises:
        UnusableHash: it has another form, or a name occurs twice.

    """
    pairs = [part.partition("=") for part in text.split(",")]
    read = {name: value for name, equals, value in pairs if equals}
    if len(read) < len(pairs):
        raise UnusableHash(DAMAGED)
    return read
