"""Audit events about users and their own accounts."""

from app.audit.events import EventName


class AccountEvent(EventName):
    USER_REGISTERED = "user.registered", "an account was registered"
    USER_DELETED = (
        "user.deleted",
        "an account was deleted, by its owner, an administrator or an operator",
    )
    USER_EXPORTED = "user.exported", "the personal data of a user was exported"
    EMAIL_VERIFIED = "email.verified", "an address was verified"
    EMAIL_CHANGE_REQUESTED = "email.change_requested", "a change of address was requested"
    EMAIL_CHANGED = "email.changed", "the address of an account was changed"
    EMAIL_CHANGE_UNDONE = (
        "email.change_undone",
        "a change of address was undone with the link to the former address",
    )
    PASSWORD_REFUSED = "password.refused", "a change was refused for a wrong password"
    PASSWORD_CHANGED = "password.changed", "a user changed their password"
    PASSWORD_RESET = "password.reset", "a password was set with an emailed link"
    PROFILE_CHANGED = "profile.changed", "a user changed their profile"
