"""What the module `mail` brings."""

from app.config.settings import PlatformSettings
from app.errors import Misconfigured
from app.jobs.handlers import Handles
from app.mail.emails import AllEmails
from app.mail.limits import MAILS
from app.mail.mailer import Mailer, mailer_of
from app.mail.services.one_time_tokens import OneTimeTokens
from app.mail.services.outgoing_emails import OutgoingEmails, SendEmail
from app.mail.services.rendering import Renderer, renderer_of
from app.mail.settings import MailSettings
from app.module import Module, Periodic
from app.periodic import PURGE_SECONDS
from app.users.settings import UserSettings


def mailer(settings: MailSettings, users: UserSettings) -> Mailer:
    url = settings.smtp_url.get_secret_value() if settings.smtp_url else None
    if url is None and users.email_verification == "required":
        raise Misconfigured(
            "EMAIL_VERIFICATION=required needs SMTP_URL: otherwise nobody can register."
        )
    return mailer_of(url, settings.mail_from)


def renderer(emails: AllEmails, settings: MailSettings, platform: PlatformSettings) -> Renderer:
    return renderer_of(emails, settings, platform.public_url)


MODULE = Module(
    name="mail",
    settings=MailSettings,
    services=(mailer, renderer, OutgoingEmails, OneTimeTokens),
    models="app.mail.models",
    jobs=(Handles(SendEmail, OutgoingEmails, OutgoingEmails.deliver),),
    budgets=(MAILS,),
    periodic=(Periodic(OneTimeTokens, OneTimeTokens.purge, PURGE_SECONDS),),
)
