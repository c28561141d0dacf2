"""Row identifiers: UUIDv7 (RFC 9562), sortable by creation and not to be guessed."""

import secrets
import uuid
from datetime import datetime

RANDOM_BITS = 74


def new_id(now: datetime) -> uuid.UUID:
    """Milliseconds of `now`, then 74 random bits."""
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    noise = secrets.randbits(RANDOM_BITS)
    high, low = noise >> 62, noise & ((1 << 62) - 1)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low)


def first_id(moment: datetime) -> uuid.UUID:
    """Give the least id that `new_id` may give from this moment on."""
    milliseconds = int(moment.timestamp() * 1000)
    return uuid.UUID(int=max(0, milliseconds) << 80)
