"""How long sessions last, and how long their rows are kept."""

from datetime import timedelta
from typing import NamedTuple


class Lifetimes(NamedTuple):
    # A session that is not refreshed ends after this.
    idle: timedelta
    # Any session ends after this.
    max: timedelta
    # How long the row of an ended session is kept.
    keep_ended: timedelta
