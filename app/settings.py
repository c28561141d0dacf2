"""All settings of the house, for what reads those of several modules."""

from app.accounts.settings import AccountSettings
from app.audit.settings import AuditSettings
from app.config.settings import PlatformSettings
from app.jobs.settings import JobSettings
from app.keys.settings import KeySettings
from app.mail.settings import MailSettings
from app.people.settings import PeopleSettings
from app.sessions.settings import SessionSettings
from app.throttle.settings import ThrottleSettings
from app.users.settings import UserSettings


# Fields are in the reverse order of these: those of the platform first, those of throttle last.
class Settings(  # pyright: ignore[reportIncompatibleVariableOverride] - the platform's model_config
    ThrottleSettings,
    PeopleSettings,
    AccountSettings,
    SessionSettings,
    AuditSettings,
    MailSettings,
    JobSettings,
    KeySettings,
    UserSettings,
    PlatformSettings,
):
    """The settings of the platform and of the modules of the house."""
