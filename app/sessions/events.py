"""Audit events about sign-ins, sessions and their secrets."""

from app.audit.events import EventName


class SessionEvent(EventName):
    SESSION_STARTED = "session.started", "a user signed in"
    CHALLENGE_ISSUED = (
        "challenge.issued",
        "a password or a link was right, and a second factor was asked for",
    )
    SESSION_REFUSED = "session.refused", "a sign-in failed"
    SESSION_ENDED = "session.ended", "sessions ended before their time"
    TOKEN_REUSED = "token.reused", "a copied refresh token was used"
    TOKEN_REPEATED = (
        "token.repeated",
        "a refresh was repeated from another IP address or user agent",
    )
    PASSWORD_LOCKED = (
        "password.locked",
        "a password was wrong too often in a row and is locked until it is reset",
    )
    SECRET_COMPROMISED = (
        "secret.compromised",
        "SECRET_KEY was declared compromised: all keys, sessions, links and factors were revoked",
    )
