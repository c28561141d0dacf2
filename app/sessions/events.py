"""What the audit records of sign-ins, sessions and their secrets."""

from app.audit.events import EventName


class SessionEvent(EventName):
    SESSION_STARTED = "session.started", "somebody signed in"
    SESSION_REFUSED = "session.refused", "a sign-in failed"
    SESSION_ENDED = "session.ended", "sessions ended before their time"
    TOKEN_REUSED = "token.reused", "a copied refresh token was presented"
    TOKEN_REPEATED = "token.repeated", "a refresh was repeated from another address or program"
    PASSWORD_LOCKED = (
        "password.locked",
        "a password was wrong too often in a row and opens nothing until it is reset",
    )
    SECRET_COMPROMISED = (
        "secret.compromised",
        "SECRET_KEY was declared compromised: all keys, sessions and links were ended",
    )
