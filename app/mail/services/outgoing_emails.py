"""Outgoing emails: put into the queue by the change that they tell of, and sent by a job."""

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
    """An email to an address, and the values that its template shows."""

    # The name and the fields are in the queues of servers that are being upgraded.
    job: ClassVar[str] = "mail.letter"

    letter: str
    to: str
    token: str | None = None
    lifetime: str | None = None
    # Where a former release writes and reads the only value that its emails have.
    others: str | None = None
    locale: str | None = None
    # Of the variables that the email declares.
    values: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


@dataclass(frozen=True, slots=True)
class OutgoingEmails:
    jobs: Jobs
    renderer: Renderer
    mailer: Mailer

    def locale_of(self, client: Client) -> str | None:
        """Decide in which language whoever sent a request is written to; None for no preference.

        It is what the request asks for, if there is a template: a profile has no language.
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
        """Building block: an email that leaves if, and only if, the caller's transaction commits.

        In the queue neither the address nor the token of the link can be read. If the account is
        deleted before the email leaves, it does not leave.

        Args:
            session: The caller's transaction.
            email: Which one; a module declares it.
            to: The address.
            user_id: The user whom it is about.
            locale: As `locale_of` returns it; None for the default.
            link: The token of the link in it.
            values: Values of the variables that the email declares; those left out are none.

        """
        templates = self.renderer.templates
        _check(templates.email(email.name), values)
        chosen = templates.locale(email, locale)
        token = link.token if link else None
        lifetime = in_words(link.lifetime, templates.phrase(chosen)) if link else None
        others = values.get("others")
        job = SendEmail(email.name, to, token, lifetime, others, chosen, values)
        await self.jobs.enqueue(session, job, about=user_id)

    async def deliver(self, job: SendEmail) -> None:
        """Write one and hand it over: the job's handler.

        Raises:
            PermanentFailure: the mail server will never take it.
            UnknownEmail: another release declares it, whose workers may take the job next time.

        """
        email = self.renderer.templates.email(job.letter)
        linked = {"token": job.token, "lifetime": job.lifetime}
        values = {**linked, "others": job.others, **job.values}
        message = self.renderer.render(email, job.to, job.locale, values)
        try:
            await self.mailer.send(message)
        except NotSent as failure:
            if failure.permanent is None:
                raise
            raise PermanentFailure(failure.permanent) from None


def _check(email: Email, values: Collection[str]) -> None:
    undeclared = set(values) - set(email.variables)
    if undeclared:
        raise LookupError(f"{email.name} declares no variable {', '.join(undeclared)}")
