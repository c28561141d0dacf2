"""The emails about what administrators do."""

from pathlib import Path

from app.mail.emails import Email, ModuleEmails

INVITATION = Email("invitation", "link_reset_password")
FACTORS_RESET = Email("factors_reset")

EMAILS = ModuleEmails((INVITATION, FACTORS_RESET), Path(__file__).parent / "templates")
