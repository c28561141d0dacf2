"""Letters: which there are, what they are made of, and the job that sends one."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.jobs.handlers import PermanentFailure
from app.jobs.services.queue import Jobs
from app.mail.mailer import Mailer, Message, NotSent
from app.mail.services.one_time_tokens import Issued
from app.text.durations import in_words


class Letter(Enum):
    """Each is a template of this name, in `app/templates`."""

    VERIFY_REGISTRATION = "verify_registration"
    VERIFY_EMAIL = "verify_email"
    REGISTERED_ALREADY = "registered_already"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a name
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    CONFIRM_EMAIL = "confirm_email"
    EMAIL_CHANGE_ASKED = "email_change_asked"
    EMAIL_CHANGED = "email_changed"
    ACCOUNT_DELETED = "account_deleted"
    ACCOUNT_DELETED_FOR_YOU = "account_deleted_for_you"
    INVITATION = "invitation"
    PASSWORD_LOCKED = "password_locked"  # noqa: S105 - a name
    PASSWORD_REMOVED = "password_removed"  # noqa: S105 - a name
    EMAIL_CHANGE_UNDONE = "email_change_undone"


@dataclass(frozen=True, slots=True)
class SendEmail:
    """An email to an address, and the values that its template shows."""

    job: ClassVar[str] = "mail.letter"

    letter: str
    to: str
    token: str | None = None
    lifetime: str | None = None
    others: str | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of the frontend's own pages, with `{token}` in them."""

    verify_email: str
    reset_password: str
    confirm_email: str

    def of(self, letter: Letter, token: str | None) -> str | None:
        pages = {
            Letter.VERIFY_REGISTRATION: self.verify_email,
            Letter.VERIFY_EMAIL: self.verify_email,
            Letter.RESET_PASSWORD: self.reset_password,
            Letter.INVITATION: self.reset_password,
            Letter.CONFIRM_EMAIL: self.confirm_email,
            # A change back to an address is confirmed as a change to it is.
            Letter.EMAIL_CHANGED: self.confirm_email,
            Letter.PASSWORD_REMOVED: self.reset_password,
        }
        page = pages.get(letter)
        return page.replace("{token}", token) if page and token else None


class Writer:
    """Writes letters: plain words from a template, set in a layout of text and one of HTML."""

    def __init__(self, links: Links, service: str) -> None:
        self._links = links
        self._service = service
        loader = PackageLoader("app.mail", "templates")
        # Words are plain text; only the HTML layout, into which they are put, escapes.
        self._words = Environment(
            loader=loader,
            undefined=StrictUndefined,
            trim_blocks=True,
            autoescape=False,  # noqa: S701 - see above
        )
        self._layout = Environment(
            loader=loader, undefined=StrictUndefined, trim_blocks=True, autoescape=True
        )

    def write(self, letter: Letter, to: str, values: Mapping[str, str | None]) -> Message:
        link = self._links.of(letter, values.get("token"))
        given = {**values, "service": self._service, "to": to, "link": link}
        template = self._words.get_template(f"{letter.value}.txt")
        blocks = {name: _block(template, name, given) for name in ("subject", "said", "not_you")}
        parts = {
            "subject": blocks["subject"],
            "paragraphs": [part for part in blocks["said"].split("\n\n") if part],
            "not_you": blocks["not_you"],
            "link": link,
            "service": self._service,
        }
        return Message(
            to,
            blocks["subject"],
            self._words.get_template("layout.txt").render(parts),
            self._layout.get_template("layout.html").render(parts),
        )


def _block(template: Template, name: str, values: Mapping[str, str | None]) -> str:
    return "".join(template.blocks[name](template.new_context(dict(values)))).strip()


@dataclass(frozen=True, slots=True)
class Letters:
    jobs: Jobs
    writer: Writer
    mailer: Mailer

    async def post(
        self,
        session: AsyncSession,
        letter: Letter,
        to: str,
        user_id: uuid.UUID,
        link: Issued | None = None,
        *,
        others: str | None = None,
    ) -> None:
        """Building block: an email that leaves if, and only if, the caller's transaction commits.

        In the queue neither the address nor the token of the link can be read. If the account is
        deleted before the email leaves, it does not leave.
        """
        token = link.token if link else None
        lifetime = in_words(link.lifetime) if link else None
        email = SendEmail(letter.value, to, token, lifetime, others)
        await self.jobs.enqueue(session, email, about=user_id)

    async def deliver(self, email: SendEmail) -> None:
        """Write one and hand it over: the job's handler.

        Raises:
            PermanentFailure: the mail server will never take it.

        """
        message = self.writer.write(Letter(email.letter), email.to, asdict(email))
        try:
            await self.mailer.send(message)
        except NotSent as failure:
            if failure.permanent is None:
                raise
            raise PermanentFailure(failure.permanent) from None
