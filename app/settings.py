"""All settings of Portico, for code that reads those of several modules."""

from app.accounts.settings import AccountSettings
from app.audit.settings import AuditSettings
from app.config.settings import PlatformSettings
from app.factors.settings import FactorSettings
from app.jobs.settings import JobSettings
from app.keys.settings import KeySettings
from app.mail.settings import MailSettings
from app.people.settings import PeopleSettings
from app.sessions.settings import SessionSettings
from app.throttle.settings import ThrottleSettings
from app.users.settings import UserSettings


# Fields are listed in the reverse order of these bases: the platform's first, throttle's last.
class Settings(  # pyright: ignore[reportIncompatibleVariableOverride] - the platform's model_config
    ThrottleSettings,
    PeopleSettings,
    FactorSettings,
    AccountSettings,
    SessionSettings,
    AuditSettings,
    MailSettings,
    JobSettings,
    KeySettings,
    UserSettings,
    PlatformSettings,
):
    """The settings of the platform and of Portico's modules."""

    @property
    def link_pages(self) -> tuple[str, ...]:
        """The paths of the pages for links in emails that this server serves itself.

        Their documents are not persisted, so they cannot work if no others are allowed.
        """
        if self.frontend_url is not None or self.persisted_documents_only:
            return ()
        fields = AccountSettings.model_fields
        chosen = {name: getattr(self, name) for name in fields if name.startswith("link_")}
        own = [link for name, link in chosen.items() if link == fields[name].default]
        return tuple(link.partition("#")[0] for link in own)
