"""Cautions: what is open, or weaker than it could be, about the present settings."""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from app.config import Settings
from app.errors import Misconfigured

USUAL_ROUNDS = 10


def check(settings: Settings, host: str) -> None:
    """Refuse what nobody wants to have on the open internet.

    Raises:
        Misconfigured: names the setting.

    """
    public = not is_loopback(host) or not is_loopback(urlsplit(settings.public_url).hostname or "")
    if settings.debug and not settings.embedded and public:
        raise Misconfigured(
            "DEBUG=true shows the schema and its explorer to everybody who reaches this server: "
            "unset it, or listen on 127.0.0.1 with PUBLIC_URL there too."
        )


def cautions(settings: Settings, host: str, management: str) -> Iterator[str]:
    """Say what an operator should know, a line each. `settings` are those of before the start."""
    open_to_others = not is_loopback(host)
    if settings.explore:
        yield "DEBUG is on: GraphiQL, introspection and suggestions are open."
    if settings.email_verification == "off":
        yield "EMAIL_VERIFICATION=off: anybody registers any address, and is told what is taken."
    if open_to_others and settings.public_url.startswith("http://"):
        yield f"PUBLIC_URL is {settings.public_url}: passwords and tokens travel unencrypted."
    if open_to_others and not settings.trusted_proxies:
        yield "TRUSTED_PROXIES is not set: behind a proxy, everybody shares one address's budgets."
    if settings.bcrypt_rounds < USUAL_ROUNDS:
        yield f"BCRYPT_ROUNDS={settings.bcrypt_rounds}: stolen hashes are cheap to try."
    if settings.password_min_guesses == 0:
        yield "PASSWORD_MIN_GUESSES=0: any password is taken, `password` too."
    if settings.throttle_scale > 1:
        yield f"THROTTLE_SCALE={settings.throttle_scale:g}: that many times more may be tried."
    if management != "off" and not is_loopback(management.rpartition(":")[0].strip("[]")):
        yield f"MANAGEMENT_ADDRESS={management}: /metrics is open to whoever reaches it."


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
