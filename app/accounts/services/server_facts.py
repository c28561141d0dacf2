"""What a form has to know of the server before anybody has signed in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerFacts:
    version: str
    # Whether users must have verified their address (EMAIL_VERIFICATION=required).
    verified_only: bool
    # In characters.
    password_min_length: int
    password_max_length: int
