"""The emails about signing in."""

from pathlib import Path

from app.mail.emails import Email, ModuleEmails

PASSWORD_LOCKED = Email("password_locked")

EMAILS = ModuleEmails((PASSWORD_LOCKED,), Path(__file__).parent / "templates")
