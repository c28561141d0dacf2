"""How formats write bytes and settings as text."""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping

from app.security.password_hashes.refusals import DAMAGED, Refused

# passlib writes `.` where standard base64 has `+`; the URL-safe alphabet has `-` and `_`.
TO_STANDARD = str.maketrans(".-_", "++/")


def from_base64(text: str) -> bytes:
    """Decode base64 of either alphabet of RFC 4648 or of passlib, with padding or without.

    Raises:
        Refused: it is something else, or bits are set that the last character does not use (RFC
            4648, section 3.5): it was changed after it was written.

    """
    bare = text.rstrip("=").translate(TO_STANDARD)
    try:
        decoded = b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        raise Refused(DAMAGED) from None
    if b64encode(decoded).decode().rstrip("=") != bare:
        raise Refused(DAMAGED)
    return decoded


def from_hex(text: str) -> bytes:
    """Decode hexadecimal digits.

    Raises:
        Refused: it is something else.

    """
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Refused(DAMAGED) from None


def number(text: str | None) -> int:
    """Read a decimal number of at most ten digits.

    Raises:
        Refused: it is something else.

    """
    if text is None or not re.fullmatch(r"[0-9]{1,10}", text):
        raise Refused(DAMAGED)
    return int(text)


def settings(text: str) -> Mapping[str, str]:
    """Read `name=value,name=value`, as in PHC strings, in any order.

    Raises:
        Refused: it is something else, or a name occurs twice.

    """
    pairs = [part.partition("=") for part in text.split(",")]
    read = {name: value for name, equals, value in pairs if equals}
    if len(read) < len(pairs):
        raise Refused(DAMAGED)
    return read
