"""Email addresses: their syntax, and the form in which they are stored."""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple, NewType

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

# email-validator refuses special-use domains, and can allow some only for the whole process. With
# this suffix any domain is a subdomain of a public one, so its syntax can be checked.
PUBLIC_SUFFIX = ".example.com"

# Domains that are accepted although they are not public, with their subdomains.
EmailDomains = NewType("EmailDomains", tuple[str, ...])


class EmailAddress(NamedTuple):
    """An address of valid syntax."""

    # NFC, the domain in Unicode (IDNA), lower case.
    normalised: str
    local_part: str
    ascii_domain: str
    # False for special-use domains (RFC 6761), such as `corp.local`, and those of a single label.
    is_public: bool

    def is_within(self, domains: Iterable[str]) -> bool:
        """Whether the domain is one of these, or a subdomain of one."""
        return any(f".{self.ascii_domain}".endswith(f".{domain}") for domain in domains)


def parse(text: str) -> EmailAddress:
    """Parse exactly one address: no display name, no comment, no quoted local part.

    Raises:
        EmailNotValidError: it is not an address.

    """
    try:
        address, suffix, is_public = _validated(text), "", True
    except EmailNotValidError:
        address, suffix, is_public = _validated(text + PUBLIC_SUFFIX), PUBLIC_SUFFIX, False
    normalised = unicodedata.normalize("NFC", address.normalized.removesuffix(suffix).lower())
    ascii_domain = address.ascii_domain.removesuffix(suffix)
    return EmailAddress(normalised, address.local_part, ascii_domain, is_public)


def ascii_domain(text: str) -> str:
    """Convert a domain to ASCII (RFC 5891), lower case.

    Raises:
        EmailNotValidError: it is not a domain.

    """
    return parse(f"postmaster@{text}").ascii_domain


def _validated(text: str) -> ValidatedEmail:
    return validate_email(text, check_deliverability=False, strict=True)
