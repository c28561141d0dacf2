"""What a form needs to know about the server before a user signs in."""

from dataclasses import dataclass

from app.sessions.services.factor_policy import FactorsRequired


@dataclass(frozen=True, slots=True)
class ServerFacts:
    version: str
    # Whether users must have verified their address (EMAIL_VERIFICATION=required).
    verified_only: bool
    # In characters.
    password_min_length: int
    password_max_length: int
    second_factor_required: FactorsRequired
    # Whether browsers can use passkeys with this server's domain.
    has_passkeys: bool
