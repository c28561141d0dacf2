"""What is wrong with a `DATABASE_URL`."""


class InvalidDatabaseUrl(ValueError):
    """What is wrong, as the end of a sentence that begins with the name of the setting.

    It names parameters and quotes no values, which may be parts of a password.
    """
