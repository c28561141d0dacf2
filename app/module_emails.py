"""The emails of all modules."""

from app.accounts import emails as accounts
from app.people import emails as people
from app.sessions import emails as sessions

MODULE_EMAILS = (accounts.EMAILS, people.EMAILS, sessions.EMAILS)
