"""Why a password hash is not accepted."""

DAMAGED = "is damaged"
TOO_MUCH_WORK = "would take too long to verify"
NO_SALT = "has no salt"
MIN_OUTPUT_BYTES = 16
SHORT_OUTPUT = f"has fewer than {MIN_OUTPUT_BYTES} bytes of output"
UNKNOWN_FORMAT = "is of no known format"
NOT_A_HASH = "is no password hash"


class Refused(ValueError):
    """A hash that is not accepted. Its text completes the sentence "This hash …"."""
