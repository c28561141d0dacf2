"""The reasons why a password hash is not accepted."""

DAMAGED = "is damaged"
TOO_MUCH_WORK = "would take too long to verify"
NO_SALT = "has no salt"
MIN_OUTPUT_BYTES = 16
SHORT_OUTPUT = f"has fewer than {MIN_OUTPUT_BYTES} bytes of output"
UNKNOWN_FORMAT = "has an unknown format"
NOT_A_HASH = "is not a password hash"


class UnusableHash(ValueError):
    """A hash is not accepted. The text completes the sentence "This hash …"."""
