"""What the module `users` brings."""

from app.config.settings import PlatformSettings
from app.module import Module
from app.text.email_addresses import EmailDomains
from app.users.settings import UserSettings


def email_domains(settings: UserSettings, platform: PlatformSettings) -> EmailDomains:
    """Returns the special-use domains whose addresses are accepted."""
    allowed = settings.email_domains_allowed
    return EmailDomains((*allowed, "test") if platform.explore else allowed)


MODULE = Module(
    name="users",
    settings=UserSettings,
    services=(email_domains,),
    models="app.users.models",
)
