"""What the module `mail` brings."""

from email.utils import parseaddr

from app.config.settings import Settings
from app.errors import Misconfigured
from app.jobs.handlers import Handles
from app.mail.mailer import Mailer, mailer_of
from app.mail.services.emails import Letters, Links, SendEmail, Writer
from app.mail.services.one_time_tokens import OneTimeTokens
from app.module import Module, Periodic
from app.periodic import PURGE_SECONDS


def mailer(settings: Settings) -> Mailer:
    url = settings.smtp_url.get_secret_value() if settings.smtp_url else None
    if url is None and settings.email_verification == "required":
        raise Misconfigured("EMAIL_VERIFICATION=required needs SMTP_URL, or nobody can register.")
    return mailer_of(url, settings.mail_from)


def writer(settings: Settings) -> Writer:
    links = Links(
        settings.link(settings.link_verify_email),
        settings.link(settings.link_reset_password),
        settings.link(settings.link_confirm_email),
    )
    return Writer(links, parseaddr(settings.mail_from)[0] or "Portico")


MODULE = Module(
    name="mail",
    services=(mailer, writer, Letters, OneTimeTokens),
    models="app.mail.models",
    jobs=(Handles(SendEmail, Letters, Letters.deliver),),
    periodic=(Periodic(OneTimeTokens, OneTimeTokens.purge, PURGE_SECONDS),),
    commands="app.mail.commands",
)
