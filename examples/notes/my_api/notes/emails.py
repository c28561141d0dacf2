"""The emails that notes send."""

from pathlib import Path

from app.mail.emails import Email, ModuleEmails

WEEKLY_NOTES = Email("weekly_notes", variables={"count": "how many notes the user has"})

EMAILS = ModuleEmails((WEEKLY_NOTES,), Path(__file__).parent / "templates")
