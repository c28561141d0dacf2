"""Warnings about settings: what is public, or weaker than it could be."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from app.audit.services.retention import NOT_ALLOWED, AuditRetention
from app.cli.addresses import http_url
from app.composition import Portico
from app.config.settings import ENV_FILE
from app.config.sources import read_sources, unknown_in_file
from app.database.readiness import Readiness
from app.errors import Misconfigured
from app.settings import Settings
from app.text.hosts import is_loopback

USUAL_ROUNDS = 10
SERVE_AS_ANOTHER_ROLE = (
    "As the owner of the tables, run `portico db grant ROLE`, and serve as that role."
)


def check(settings: Settings, host: str) -> None:
    """Refuse settings that are unsafe on the open internet.

    Raises:
        Misconfigured: names the setting.

    """
    public = not is_loopback(host) or not is_loopback(urlsplit(settings.public_url).hostname or "")
    if settings.debug and not settings.embedded and public:
        raise Misconfigured(
            "DEBUG=true shows the schema and GraphiQL to everybody who can reach this server: "
            "unset it, or listen on 127.0.0.1 with PUBLIC_URL there too."
        )


def check_links(settings: Settings) -> str | None:
    """Returns a warning about links in emails of a process without an address of its own.

    Raises:
        Misconfigured: their address is not known.

    """
    pages = (settings.link_verify_email, settings.link_reset_password, settings.link_confirm_email)
    follow = any(page.startswith("/") for page in pages) and settings.frontend_url is None
    if not follow or "public_url" in settings.model_fields_set:
        return None
    if settings.embedded:
        return f"PUBLIC_URL is not set: links in emails lead to {settings.public_url}."
    raise Misconfigured(
        "PUBLIC_URL is not set, and links in emails lead there: set it, or FRONTEND_URL, as for "
        "`portico serve`."
    )


def warnings_of(settings: Settings, host: str, port: int, management: str) -> Iterator[str]:
    """Yield warnings for operators, a line each. `settings` are those before the start."""
    if settings.explore:
        yield "DEBUG is on: GraphiQL, introspection and suggestions are open."
    if settings.email_verification == "off":
        yield "EMAIL_VERIFICATION=off: anybody can register any address, and see if it is taken."
    yield from _of_addresses(settings, host, port)
    unknown = unknown_in_file(read_sources(type(settings)))
    if unknown:
        yield f"{ENV_FILE} sets names that are not settings: {', '.join(unknown)}."
    if settings.bcrypt_rounds < USUAL_ROUNDS:
        yield f"BCRYPT_ROUNDS={settings.bcrypt_rounds}: stolen hashes are cheap to try."
    if settings.password_min_guesses == 0:
        yield "PASSWORD_MIN_GUESSES=0: any password is accepted, even `password`."
    if settings.throttle_scale > 1:
        yield f"THROTTLE_SCALE={settings.throttle_scale:g}: limits are that many times higher."
    opened = open_management(management)
    if opened:
        yield opened


def open_management(address: str) -> str | None:
    """Returns a warning if other machines can reach the management address."""
    if address == "off" or is_loopback(address.rpartition(":")[0].strip("[]")):
        return None
    return f"MANAGEMENT_ADDRESS={address}: /metrics is open to everybody who can reach it."


async def privilege_warnings(portico: Portico, settings: Settings) -> list[str]:
    """Returns warnings about excess and missing privileges of the role in DATABASE_URL."""
    if settings.embedded:
        return []
    warnings: list[str] = []
    retention = settings.audit_keep_days is not None
    excess = await portico.services[Readiness].excess(retention=retention)
    if excess:
        remedy = f"Run {excess.remedy}." if excess.remedy else SERVE_AS_ANOTHER_ROLE
        warnings.append(
            f"{excess}: an attacker who controls this server can change the audit. {remedy}"
        )
    if retention and not await portico.services[AuditRetention].is_allowed():
        warnings.append(NOT_ALLOWED)
    return warnings


def _of_addresses(settings: Settings, host: str, port: int) -> Iterator[str]:
    open_to_others = not is_loopback(host)
    if "public_url" in settings.model_fields_set:
        if open_to_others and settings.public_url.startswith("http://"):
            yield f"PUBLIC_URL is {settings.public_url}: passwords and tokens travel unencrypted."
    elif open_to_others or not settings.embedded:
        yield (
            f"PUBLIC_URL is not set: tokens and links in emails name {http_url(host, port)}. "
            "Servers that share a database need the same one."
        )
    if open_to_others and not settings.trusted_proxies:
        yield "TRUSTED_PROXIES is not set: behind a proxy, everybody shares one address's budgets."
