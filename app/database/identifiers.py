"""Row identifiers: UUIDv7 (RFC 9562), sortable by creation and unguessable."""

import secrets
import uuid
from datetime import datetime

RANDOM_BITS = 74


def new_id(now: datetime) -> uuid.UUID:
    """Returns the milliseconds of `now`, then 74 random bits."""
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    random_bits = secrets.randbits(RANDOM_BITS)
    high, low = random_bits >> 62, random_bits & ((1 << 62) - 1)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low)


def first_id(moment: datetime) -> uuid.UUID:
    """Returns the lowest id that `new_id` can return from this moment on."""
    milliseconds = int(moment.timestamp() * 1000)
    return uuid.UUID(int=max(0, milliseconds) << 80)
