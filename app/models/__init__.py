"""Tables, one file per family. Reached as `models.User`."""

from app.models import session
from app.models.audit_event import (
    AuditChain,
    AuditCheckpoint,
    AuditEvent,
    AuditName,
    AuditRow,
    AuditVerification,
)
from app.models.budget import Budget
from app.models.one_time_token import OneTimeToken, TokenPurpose
from app.models.password_failure import PasswordFailure, PasswordSource
from app.models.secret_fingerprint import SecretFingerprint
from app.models.session import EndReason, Session, SessionRow
from app.models.signing_key import SigningKey
from app.models.user import Role, User, UserRow

__all__ = [
    "AuditChain",
    "AuditCheckpoint",
    "AuditEvent",
    "AuditName",
    "AuditRow",
    "AuditVerification",
    "Budget",
    "EndReason",
    "OneTimeToken",
    "PasswordFailure",
    "PasswordSource",
    "Role",
    "SecretFingerprint",
    "Session",
    "SessionRow",
    "SigningKey",
    "TokenPurpose",
    "User",
    "UserRow",
    "session",
]
