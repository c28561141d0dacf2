"""The settings of the module `mail`."""

import re
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr, field_validator

from app.config.settings import UNSET
from app.text.text_lines import is_line, normalised


def _with_token(page: str) -> str:
    if "{token}" not in page:
        raise ValueError("must contain {token}")
    return page


# A page of the frontend that the link of an email leads to: below FRONTEND_URL, or a complete URL.
LinkPage = Annotated[str, AfterValidator(_with_token)]


class MailSettings(BaseModel):
    smtp_url: SecretStr | None = Field(
        default=None,
        description="`smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`; `?tls=none` "
        "for a relay without TLS. If unset with your own database, emails wait in the queue, and "
        "`EMAIL_VERIFICATION=required` refuses to start",
        json_schema_extra={UNSET: "console when embedded"},
    )
    mail_from: str = Field(
        default="Portico <portico@localhost>",
        description="the sender of emails; if the SMTP server does not accept it, emails fail and "
        "are kept",
    )
    product_name: str | None = Field(
        default=None,
        max_length=100,
        description="the name of the product in emails and GraphiQL; passwords made of it are "
        "refused",
        json_schema_extra={UNSET: "the name in `MAIL_FROM`"},
    )
    templates_dir: Path | None = Field(
        default=None,
        description="a directory of [templates of emails](emails.md), which replace those of the "
        "same names; with an invalid template the server does not start",
    )
    frontend_url: str | None = Field(
        default=None,
        description="the base of the pages that links in emails lead to. If unset, they open "
        "[pages of Portico](emails.md#pages-that-links-open)",
        json_schema_extra={UNSET: "`PUBLIC_URL`"},
    )

    @field_validator("mail_from")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not re.fullmatch(r"[^@<>\s]+@[^@<>\s]+", parseaddr(value)[1]):
            msg = "must be an address, such as Portico <no-reply@example.com>"
            raise ValueError(msg)
        return value

    @field_validator("product_name")
    @classmethod
    def _is_one_line(cls, value: str | None) -> str | None:
        name = normalised(value or "")
        if name and not is_line(name):
            raise ValueError("must be one line of visible characters")
        return name or None

    @property
    def product(self) -> str:
        """PRODUCT_NAME, or the name of the sender in MAIL_FROM."""
        return self.product_name or parseaddr(self.mail_from)[0] or "Portico"
