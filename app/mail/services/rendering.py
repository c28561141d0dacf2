"""Renders emails: plain text from a template, in a text layout and an HTML layout."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from app.errors import Misconfigured
from app.mail.emails import AllEmails, Email
from app.mail.mailer import Message
from app.mail.services.template_files import LAYOUT_HTML, LAYOUT_TEXT
from app.mail.services.templates import Templates
from app.mail.settings import MailSettings


@dataclass(frozen=True, slots=True)
class Renderer:
    templates: Templates
    # URLs with `{token}`, by the names of their settings.
    pages: Mapping[str, str]
    product_name: str

    def render(
        self, email: Email, to: str, locale: str | None, values: Mapping[str, str | None]
    ) -> Message:
        """Returns the message to send.

        Args:
            email: The email.
            to: The address it goes to.
            locale: The preferred locale; the nearest one with a template is used.
            values: `token` and `lifetime` of the link, and values of the email's own variables.
                A value that is missing in a job of another release is None.

        """
        chosen = self.templates.locale(email, locale)
        link = self._link(email, values.get("token"))
        common = {"product_name": self.product_name, "to": to, "locale": chosen, "link": link}
        own = {name: values.get(name) for name in ("lifetime", *email.variables)}
        subject, body, footer = self.templates.blocks(email, chosen, {**own, **common})
        # A header is one line.
        subject = " ".join(subject.split())
        paragraphs = [part for part in body.split("\n\n") if part]
        parts = {**common, "subject": subject, "paragraphs": paragraphs, "footer": footer}
        text = self.templates.layout(LAYOUT_TEXT, chosen, parts)
        html = self.templates.layout(LAYOUT_HTML, chosen, parts)
        return Message(to, subject, text, html)

    def _link(self, email: Email, token: str | None) -> str | None:
        if email.link_setting is None or token is None:
            return None
        return self.pages[email.link_setting].replace("{token}", token)


def renderer_of(modules: AllEmails, settings: MailSettings, public_url: str) -> Renderer:
    """Returns the renderer for the emails of these modules.

    Raises:
        Misconfigured: a template is missing or invalid, or an email names an unknown setting.

    """
    overrides = settings.templates_dir
    templates = Templates.load(modules, overrides) if overrides else _shipped(modules)
    frontend = (settings.frontend_url or public_url).rstrip("/")
    pages = {
        email.link_setting: _page(email, email.link_setting, settings, frontend)
        for email in templates.emails.values()
        if email.link_setting
    }
    return Renderer(templates, pages, settings.product)


@cache
def _shipped(modules: AllEmails) -> Templates:
    """Returns the templates that modules bring, which all applications of a process share."""
    return Templates.load(modules, None)


def _page(email: Email, setting: str, settings: MailSettings, frontend: str) -> str:
    # The settings of all modules are in one object.
    page = getattr(settings, setting, None)
    if not isinstance(page, str):
        raise Misconfigured(f"The email {email.name} names {setting}, which is not a setting.")
    return frontend + page if page.startswith("/") else page
