"""The emails about second factors."""

from pathlib import Path

from app.mail.emails import Email, ModuleEmails

FACTOR_ADDED = Email(
    "factor_added", variables={"passkey": "the name of the passkey; empty: an authenticator app"}
)
FACTOR_REMOVED = Email(
    "factor_removed",
    variables={
        "last": "set if no second factor is left",
        "passkey": "the name of the passkey; empty: an authenticator app",
    },
)
PASSKEY_COPIED = Email("passkey_copied", variables={"name": "the name of the passkey"})
FACTOR_LOCKED = Email("factor_locked")
RECOVERY_CODE_USED = Email(
    "recovery_code_used", variables={"left": "how many codes are left, such as `9`"}
)
RECOVERY_CODES_RENEWED = Email("recovery_codes_renewed")

EMAILS = ModuleEmails(
    (
        FACTOR_ADDED,
        FACTOR_REMOVED,
        FACTOR_LOCKED,
        PASSKEY_COPIED,
        RECOVERY_CODE_USED,
        RECOVERY_CODES_RENEWED,
    ),
    Path(__file__).parent / "templates",
)
