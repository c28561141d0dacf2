"""The emails about what administrators do."""

from pathlib import Path

from app.mail.emails import Email, ModuleEmails

INVITATION = Email("invitation", "link_reset_password")

EMAILS = ModuleEmails((INVITATION,), Path(__file__).parent / "templates")
