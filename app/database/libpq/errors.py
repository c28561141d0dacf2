"""The error for an invalid `DATABASE_URL`."""


class InvalidDatabaseUrl(ValueError):
    """The message continues a sentence that begins with the name of the setting.

    It names parameters and never quotes values, which may contain parts of a password.
    """
