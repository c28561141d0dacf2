"""Audit events about what administrators and operators do."""

from app.audit.events import EventName


class PeopleEvent(EventName):
    USER_CREATED = "user.created", "an administrator created an account"
    USERS_IMPORTED = "users.imported", "users were imported from another system"
    USER_SUSPENDED = "user.suspended", "an administrator suspended a user"
    USER_REINSTATED = "user.reinstated", "an administrator ended a suspension"
    FACTORS_RESET = "factors.reset", "an administrator removed the second factors of a user"
    ROLE_CHANGED = "role.changed", "the role of a user was changed"
