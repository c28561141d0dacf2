"""Email addresses: their syntax, and the one form in which they are stored."""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

# email-validator refuses special-use domains, and its only way to allow some of them holds for the
# whole process. Below a public domain, the syntax of any domain can be checked.
BELOW = ".example.com"


class EmailAddress(NamedTuple):
    """An address of valid syntax."""

    # NFC, the domain in Unicode (IDNA), lower case.
    normalised: str
    local_part: str
    ascii_domain: str
    # False for special-use domains (RFC 6761), such as `corp.local`, and those of a single label.
    is_public: bool

    def is_within(self, domains: Iterable[str]) -> bool:
        """Whether the domain is one of these, or below one."""
        return any(f".{self.ascii_domain}".endswith(f".{domain}") for domain in domains)


def parse(text: str) -> EmailAddress:
    """Read one address and nothing else: no display name, no comment, no quoted local part.

    Raises:
        EmailNotValidError: it is no address.

    """
    try:
        read, domain, is_public = _validated(text), "", True
    except EmailNotValidError:
        read, domain, is_public = _validated(text + BELOW), BELOW, False
    normalised = unicodedata.normalize("NFC", read.normalized.removesuffix(domain).lower())
    ascii_domain = read.ascii_domain.removesuffix(domain)
    return EmailAddress(normalised, read.local_part, ascii_domain, is_public)


def ascii_domain(text: str) -> str:
    """Write a domain in ASCII (RFC 5891), lower case.

    Raises:
        EmailNotValidError: it is no domain.

    """
    return parse(f"postmaster@{text}").ascii_domain


def _validated(text: str) -> ValidatedEmail:
    return validate_email(text, check_deliverability=False, strict=True)
