"""What a form needs to know about the server before a user signs in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerFacts:
    version: str
    # Whether users must have verified their address (EMAIL_VERIFICATION=required).
    verified_only: bool
    # In characters.
    password_min_length: int
    password_max_length: int
