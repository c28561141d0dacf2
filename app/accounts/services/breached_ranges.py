"""Passwords known from breaches, looked up in a service by a prefix of the hash."""

import asyncio
import logging
from dataclasses import dataclass

import httpx

from app.accounts.services.breached_passwords import sha1_of

PREFIX = 5
TIMEOUT_SECONDS = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RangeService:
    """The range protocol of Have I Been Pwned: only five characters of the hash are sent.

    The response is padded, so that its length does not reveal the range to a network observer.
    """

    url: str

    async def contain(self, password: str) -> bool:
        """Look a password up. If the service does not answer, the password is accepted."""
        digest = sha1_of(password)
        try:
            lines = await self._range(digest[:PREFIX])
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("The breached-password service did not answer: %s", type(error).__name__)
            return False
        return any(
            suffix == digest[PREFIX:] and count.strip().lstrip("0") != ""
            for suffix, _, count in (line.partition(":") for line in lines)
        )

    async def check(self) -> int:
        """Request the range of no particular password, and return how many hashes it has.

        Raises:
            HTTPError: the service does not answer, or answers with an error.
            InvalidURL: the URL is invalid.
            TimeoutError: the service does not answer in time.

        """
        return len(await self._range("0" * PREFIX))

    async def _range(self, prefix: str) -> list[str]:
        # The timeout of the library is per read, and a response may arrive byte by byte.
        async with asyncio.timeout(TIMEOUT_SECONDS), httpx.AsyncClient() as http:
            address = f"{self.url.rstrip('/')}/{prefix}"
            answer = await http.get(address, headers={"Add-Padding": "true"})
        return answer.raise_for_status().text.splitlines()
