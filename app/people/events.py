"""What the audit records of administrators and operators."""

from app.audit.events import EventName


class PeopleEvent(EventName):
    USER_CREATED = "user.created", "an administrator made an account for somebody"
    USERS_IMPORTED = "users.imported", "people were taken over from another system"
    USER_SUSPENDED = "user.suspended", "an administrator shut somebody out"
    USER_REINSTATED = "user.reinstated", "an administrator let somebody back in"
    ROLE_CHANGED = "role.changed", "somebody became an administrator, or no longer is one"
