"""Whether a new password is accepted: not known from a breach, and not easy to guess."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.accounts.services.breached_passwords import BreachedPasswords
from app.outcomes import InputIssue, InputIssueCode
from app.security.password_hashes.preparations import normalised
from app.security.passwords import Passwords

LETTER = r"[^\W\d_]"
TOO_GUESSABLE = InputIssue(
    ("password",),
    InputIssueCode.PASSWORD_TOO_GUESSABLE,
    "This password is too easy to guess. Use a few unrelated words.",
)
BREACHED = InputIssue(
    ("password",),
    InputIssueCode.PASSWORD_BREACHED,
    "This password is known from a breach of another service. Use one that you use nowhere else.",
)


@dataclass(frozen=True, slots=True)
class NewPasswords:
    passwords: Passwords
    breached: BreachedPasswords
    min_length: int
    min_guesses: int
    service_words: frozenset[str]

    async def find_issue(self, password: str, email: str, name: str | None) -> InputIssue | None:
        """Returns what is wrong with a password that is well-formed; None if it is accepted.

        It must take enough guesses, to which words of the service and of the user add nothing, and
        must not be known from a breach (NIST SP 800-63B 3.1.1.2: context-specific words, commonly
        used and compromised passwords).
        """
        context = self.service_words | user_words(email, name)
        if await self.passwords.guesses(password, context) < self.min_guesses:
            return TOO_GUESSABLE
        return BREACHED if await self.breached.contain(normalised(password)) else None


def service_words(sender: str, *urls: str | None) -> frozenset[str]:
    """Returns the words that an attacker tries first at this service."""
    hosts = [urlsplit(url).hostname or "" for url in urls if url]
    return frozenset((*_parts(sender), *(word for host in hosts for word in _host_words(host))))


def user_words(email: str, name: str | None) -> frozenset[str]:
    """Returns the words that an attacker who knows the user tries first."""
    local_part, _, domain = email.rpartition("@")
    return frozenset((email, *_parts(local_part), *_host_words(domain), *_parts(name or "")))


def _host_words(host: str) -> list[str]:
    """Returns the labels and endings of a host name, without `www` and the top-level domain."""
    if not re.search(LETTER, host):
        return []  # an IP address
    labels = [label for label in host.split(".") if label != "www"]
    endings = [".".join(labels[start:]) for start in range(len(labels) - 1)]
    named = labels[:-1] or labels
    return [*endings, *(word for label in named for word in _parts(label))]


def _parts(text: str) -> list[str]:
    """Returns the text, its runs of letters and digits, and its runs of letters."""
    return [text, *re.findall(r"[^\W_]+", text), *re.findall(f"{LETTER}+", text)]
