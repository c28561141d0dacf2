"""The relying party of WebAuthn: the domain of passkeys, and the pages that may use them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.text.hosts import is_address, is_loopback
from app.text.origins import origin_of_url, scheme_and_host

LOCALHOST = "localhost"
# Pages on loopback come from the machine of the browser.
ANY_LOCALHOST = "http://localhost:*"
LOCAL_PAGE = re.compile(r"http://localhost(:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """For whom passkeys are made: a domain, and the origins of the pages that may use them."""

    id: str
    # Shown by browsers.
    name: str
    origins: tuple[str, ...]

    @classmethod
    def of(
        cls, name: str, urls: Sequence[str], rp_id: str | None, origins: Sequence[str]
    ) -> "RelyingParty":
        """Returns that of the frontend and the server at these URLs, unless it is given.

        Browsers accept no IP addresses; those of loopback are also called `localhost`.
        """
        hosts = [urlsplit(url).hostname or "" for url in urls]
        domain = rp_id or (LOCALHOST if is_loopback(hosts[0]) else hosts[0])
        own = [ANY_LOCALHOST] if domain == LOCALHOST else []
        own += [
            origin_of_url(url)
            for url, host in zip(urls, hosts, strict=True)
            if not (is_loopback(host) and is_address(host))
        ]
        if domain == LOCALHOST:
            own = [each for each in own if not LOCAL_PAGE.fullmatch(each)]
        return cls(domain, name, tuple(dict.fromkeys(origins or own)))

    def accepts(self, origin: str) -> bool:
        """Whether pages of this origin may use passkeys."""
        if origin == ANY_LOCALHOST:
            return False
        is_local = ANY_LOCALHOST in self.origins and LOCAL_PAGE.fullmatch(origin) is not None
        return origin in self.origins or is_local

    @property
    def is_usable(self) -> bool:
        """Whether browsers accept it: a domain name, and pages in a secure context.

        W3C, Secure Contexts, section 3.1.
        """
        is_secure = any(
            each.startswith("https:") and self._is_within(each) for each in self.origins
        )
        return self.id == LOCALHOST or (is_secure and not is_address(self.id))

    @property
    def pages(self) -> tuple[str, ...]:
        """The origins that are websites with a name."""
        return tuple(each for each in self.origins if scheme_and_host(each)[0])

    @property
    def unrelated_origins(self) -> tuple[str, ...]:
        """The pages outside of the domain, which browsers accept only if a file there names them.

        WebAuthn Level 3, 5.11.
        """
        return tuple(each for each in self.pages if not self._is_within(each))

    @property
    def listed_origins(self) -> tuple[str, ...]:
        """The pages that this file names: none where no page needs it."""
        return self.pages if len(self.pages) > 1 or self.unrelated_origins else ()

    def _is_within(self, origin: str) -> bool:
        return f".{scheme_and_host(origin)[1]}".endswith(f".{self.id}")
