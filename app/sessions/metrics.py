"""Metrics of sign-ins and access tokens."""

from app.module import Gauge
from app.security.access_tokens import AccessTokens
from app.security.passwords import Passwords

GAUGES = (
    Gauge(
        "portico_hashing_places_taken",
        "Passwords that are being hashed, or waiting to be.",
        Passwords,
        lambda passwords: passwords.places_taken,
    ),
    Gauge(
        "portico_token_cache_hits",
        "Access tokens whose signature was in the cache.",
        AccessTokens,
        lambda tokens: tokens.verified_tokens.hits,
        is_total=True,
    ),
    Gauge(
        "portico_token_cache_misses",
        "Access tokens whose signature had to be verified.",
        AccessTokens,
        lambda tokens: tokens.verified_tokens.misses,
        is_total=True,
    ),
)
