"""The cookie that holds the tokens of a browser, which no script of a page can read."""

import re

from app.errors import Forbidden

SEPARATOR = "."
REFRESH_PREFIX, DEVICE_PREFIX = "prt_", "pdt_"
# What a token may look like. It is put into the next cookie again: one of another form could make
# that invalid or longer than browsers keep, and the next refresh token would be lost with it.
TOKEN = re.compile(r"[A-Za-z0-9_-]{5,128}")


class SessionCookie:
    """The tokens in the cookie of a request, and whether its answer has to set the cookie again.

    A request that may not read the cookie (`refusal_to_read`) is treated as if it had none, and is
    told why if it has no other credential.
    """

    __slots__ = (
        "_refusal_to_read",
        "_refusal_to_set",
        "_was_sent",
        "device_token",
        "has_changed",
        "refresh_token",
    )

    def __init__(
        self,
        value: str | None = None,
        *,
        refusal_to_read: str | None = None,
        refusal_to_set: str | None = None,
    ) -> None:
        self._refusal_to_read, self._refusal_to_set = refusal_to_read, refusal_to_set
        self._was_sent = value is not None
        tokens = [] if value is None or refusal_to_read else value.split(SEPARATOR)
        self.refresh_token = _only(tokens, REFRESH_PREFIX)
        self.device_token = _only(tokens, DEVICE_PREFIX)
        self.has_changed = False

    @property
    def value(self) -> str:
        """What the cookie has to hold; empty if there is nothing left."""
        tokens = (self.refresh_token, self.device_token)
        return SEPARATOR.join(token for token in tokens if token)

    def check_may_read(self) -> None:
        """Refuse a request that has a cookie which it may not use.

        Raises:
            Forbidden: says what is missing.

        """
        if self._was_sent and self._refusal_to_read:
            raise Forbidden(self._refusal_to_read)

    def check_may_set(self) -> None:
        """Refuse a request whose answer may not set the cookie.

        Raises:
            Forbidden: says why.

        """
        if self._refusal_to_set:
            raise Forbidden(self._refusal_to_set)

    def store(self, refresh_token: str | None, device_token: str | None) -> None:
        """Set the cookie to these tokens; a token that is None stays as it is."""
        self.refresh_token = refresh_token or self.refresh_token
        self.device_token = device_token or self.device_token
        self.has_changed = True

    def forget_session(self) -> None:
        """Remove the refresh token: its session is over. The device token gives no access."""
        if self.refresh_token is not None:
            self.refresh_token, self.has_changed = None, True

    def clear(self) -> None:
        self.refresh_token, self.device_token, self.has_changed = None, None, True


def _only(tokens: list[str], prefix: str) -> str | None:
    found = [token for token in tokens if token.startswith(prefix)]
    return found[0] if len(found) == 1 and TOKEN.fullmatch(found[0]) else None
