"""Outgoing emails: enqueued in the transaction of a change, and sent by a job."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.jobs.handlers import PermanentFailure
from app.jobs.services.queue import Jobs
from app.mail.emails import Email
from app.mail.mailer import Mailer, NotSent
from app.mail.services.one_time_tokens import Issued
from app.mail.services.rendering import Renderer
from app.security.client import Client
from app.text.durations import in_words
from app.text.languages import best_language


@dataclass(frozen=True, slots=True)
class SendEmail:
    """An email to an address, with the values of its template."""

    # The previous release reads and writes these names.
    job: ClassVar[str] = "mail.letter"

    letter: str
    to: str
    token: str | None = None
    lifetime: str | None = None
    # The only value of emails in the previous release.
    others: str | None = None
    locale: str | None = None
    # Values of the variables that the email declares.
    values: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


@dataclass(frozen=True, slots=True)
class OutgoingEmails:
    jobs: Jobs
    renderer: Renderer
    mailer: Mailer

    def locale_of(self, client: Client) -> str | None:
        """Returns the language for emails to the client of a request; None for no preference.

        It follows Accept-Language, if there is a template: a profile has no language.
        """
        return best_language(client.accept_language, self.renderer.templates.locales)

    async def enqueue(
        self,
        session: AsyncSession,
        email: Email,
        to: str,
        user_id: uuid.UUID,
        locale: str | None,
        link: Issued | None = None,
        **values: str | None,
    ) -> None:
        """Building block: enqueue an email in the caller's transaction.

        The queued job is sealed: neither the address nor the token can be read. If the account is
        deleted first, the email is not sent.

        Args:
            session: The caller's transaction.
            email: An email that a module declares.
            to: The address.
            user_id: The user that it is about.
            locale: As `locale_of` returns it; None for the default.
            link: The token of its link.
            values: Values of the variables that the email declares; None for missing ones.

        """
        templates = self.renderer.templates
        _check_variables(templates.email(email.name), values)
        chosen = templates.locale(email, locale)
        token = link.token if link else None
        lifetime = in_words(link.lifetime, templates.phrase(chosen)) if link else None
        others = values.get("others")
        job = SendEmail(email.name, to, token, lifetime, others, chosen, values)
        await self.jobs.enqueue(session, job, about=user_id)

    async def deliver(self, job: SendEmail) -> None:
        """Handle the job: render the email and send it.

        Raises:
            PermanentFailure: the mail server will never accept it.
            UnknownEmail: another release declares the email; its workers may take the job later.

        """
        email = self.renderer.templates.email(job.letter)
        link_values = {"token": job.token, "lifetime": job.lifetime}
        values = {**link_values, "others": job.others, **job.values}
        message = self.renderer.render(email, job.to, job.locale, values)
        try:
            await self.mailer.send(message)
        except NotSent as failure:
            if failure.permanent is None:
                raise
            raise PermanentFailure(failure.permanent) from None


def _check_variables(email: Email, values: Collection[str]) -> None:
    undeclared = set(values) - set(email.variables)
    if undeclared:
        raise LookupError(f"{email.name} declares no variable {', '.join(undeclared)}")
