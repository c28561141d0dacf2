"""What the audit records of people and their own accounts."""

from app.audit.events import EventName


class AccountEvent(EventName):
    USER_REGISTERED = "user.registered", "somebody made an account"
    USER_DELETED = "user.deleted", "an account was deleted: by its owner, or for them"
    USER_EXPORTED = "user.exported", "a copy of what is known of somebody was made"
    EMAIL_VERIFIED = "email.verified", "somebody has shown that they read their mail"
    EMAIL_CHANGE_REQUESTED = "email.change_requested", "somebody wants another address"
    EMAIL_CHANGED = "email.changed", "an account has another address"
    EMAIL_CHANGE_UNDONE = "email.change_undone", "the former address took a change back"
    PASSWORD_REFUSED = "password.refused", "a change was tried with a wrong password"
    PASSWORD_CHANGED = "password.changed", "somebody changed their password"
    PASSWORD_RESET = "password.reset", "somebody chose a password by a letter"
    PROFILE_CHANGED = "profile.changed", "somebody changed their profile"
