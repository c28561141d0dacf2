"""Audit events about second factors."""

from app.audit.events import EventName


class FactorEvent(EventName):
    FACTOR_ADDED = "factor.added", "a second factor was enrolled"
    FACTOR_REMOVED = "factor.removed", "a user removed a second factor"
    FACTOR_REFUSED = "factor.refused", "a code of a second factor was wrong, or a passkey"
    PASSKEY_RENAMED = "passkey.renamed", "a user renamed a passkey"
    PASSKEY_COPIED = (
        "passkey.copied",
        "a passkey was refused because its counter went back, as that of a copy does",
    )
    PASSKEYS_REMOVED = (
        "passkeys.removed",
        "an operator removed all passkeys of another domain",
    )
    FACTOR_LOCKED = (
        "factor.locked",
        "codes of a second factor were wrong too often in a row and are locked",
    )
    RECOVERY_CODE_USED = "recovery_code.used", "a recovery code was used"
    RECOVERY_CODES_RENEWED = "recovery_codes.renewed", "the recovery codes were replaced"
    SESSION_STEPPED_UP = "session.stepped_up", "the user of a session proved again who they are"
