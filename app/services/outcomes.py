"""Outcomes that operations share. They are returned, not raised: what led to them stays."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from app.models import SessionRow, UserRow
from app.security.keys import digest

PROGRAM_BYTES = 8


class Client(NamedTuple):
    """Where a request came from, as far as it can be told."""

    ip_address: str | None
    user_agent: str | None
    request_id: str | None = None
    device_token: str | None = None

    @property
    def block(self) -> str:
        """What limits count as one place."""
        return block_of(self.ip_address)

    @property
    def program(self) -> bytes:
        """Returns a digest of the address and the user agent: what tells two clients apart."""
        return digest(self.block, self.user_agent or "")[:PROGRAM_BYTES]


# Of commands and of the server itself.
NO_CLIENT = Client(None, None)


@dataclass(frozen=True, slots=True)
class Tokens:
    access_token: str
    access_token_expires_at: datetime
    access_token_expires_in_seconds: int
    refresh_token: str
    refresh_token_expires_at: datetime
    # Only after a password or an email, not after a refresh.
    device_token: str | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    user: UserRow
    session: SessionRow
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class UserChanged:
    user: UserRow
    # For whoever has just read a letter.
    device_token: str | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such thing, or none that the caller may know of."""


@dataclass(frozen=True, slots=True)
class InvalidCredentials:
    """Unknown address, wrong password, suspended account: none of them can be told apart."""


@dataclass(frozen=True, slots=True)
class EmailTaken:
    """Somebody has this address."""


@dataclass(frozen=True, slots=True)
class RateLimited:
    retry_after_seconds: int


class InputIssueCode(Enum):
    REQUIRED = "REQUIRED"
    TOO_SHORT = "TOO_SHORT"
    TOO_LONG = "TOO_LONG"
    INVALID_FORMAT = "INVALID_FORMAT"
    PASSWORD_BREACHED = "PASSWORD_BREACHED"  # noqa: S105 - a code, not a password
    PASSWORD_TOO_GUESSABLE = "PASSWORD_TOO_GUESSABLE"  # noqa: S105 - a code, not a password
    UNCHANGED = "UNCHANGED"


BOUNDED = frozenset({InputIssueCode.TOO_SHORT, InputIssueCode.TOO_LONG})


@dataclass(frozen=True, slots=True)
class InputIssue:
    path: tuple[str, ...]
    code: InputIssueCode
    message: str
    # The bound that was not kept, of the codes that have one.
    limit: int | None = None

    def __post_init__(self) -> None:
        if (self.code in BOUNDED) is (self.limit is None):
            raise ValueError(f"{self.code.value} and the limit {self.limit} do not fit together")

    def at(self, *path: str) -> "InputIssue":
        """The same fault, of another part of an input."""
        return replace(self, path=path)


@dataclass(frozen=True, slots=True)
class InvalidInput:
    issues: tuple[InputIssue, ...]


def block_of(address: str | None) -> str:
    """Give what one client has of the internet: an IPv4 address, or 64 bits of an IPv6 one."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or "nowhere"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
