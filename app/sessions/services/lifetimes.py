"""How long sessions last."""

from datetime import timedelta
from typing import NamedTuple


class Lifetimes(NamedTuple):
    # Unused, a session ends after this.
    idle: timedelta
    # Any session ends after this.
    max: timedelta
    # How long the row of an ended session is kept.
    keep_ended: timedelta
