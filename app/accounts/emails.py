"""The emails about a user's own account."""

from pathlib import Path

from app.mail.emails import Email, ModuleEmails

VERIFY_PAGE = "link_verify_email"
PASSWORD_PAGE = "link_reset_password"  # noqa: S105 - the name of a setting
CONFIRM_PAGE = "link_confirm_email"

VERIFY_REGISTRATION = Email(
    "verify_registration",
    VERIFY_PAGE,
    {"others": "set if other registrations with this address are pending too"},
)
VERIFY_EMAIL = Email("verify_email", VERIFY_PAGE)
REGISTERED_ALREADY = Email("registered_already")
RESET_PASSWORD = Email("reset_password", PASSWORD_PAGE)
PASSWORD_CHANGED = Email(
    "password_changed",
    variables={"passkeys": "after a reset, the passkeys that remain, a line for each; empty: none"},
)
PASSWORD_REMOVED = Email("password_removed", PASSWORD_PAGE)
CONFIRM_EMAIL = Email("confirm_email", CONFIRM_PAGE)
EMAIL_CHANGE_ASKED = Email("email_change_asked")
# The page that confirms a change also undoes it.
EMAIL_CHANGED = Email("email_changed", CONFIRM_PAGE)
EMAIL_CHANGE_UNDONE = Email("email_change_undone")
ACCOUNT_DELETED = Email("account_deleted")
ACCOUNT_DELETED_FOR_YOU = Email("account_deleted_for_you")

EMAILS = ModuleEmails(
    (
        VERIFY_REGISTRATION,
        VERIFY_EMAIL,
        REGISTERED_ALREADY,
        RESET_PASSWORD,
        PASSWORD_CHANGED,
        PASSWORD_REMOVED,
        CONFIRM_EMAIL,
        EMAIL_CHANGE_ASKED,
        EMAIL_CHANGED,
        EMAIL_CHANGE_UNDONE,
        ACCOUNT_DELETED,
        ACCOUNT_DELETED_FOR_YOU,
    ),
    Path(__file__).parent / "templates",
)
