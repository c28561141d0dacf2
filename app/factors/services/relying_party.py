"""For whom passkeys are made, by the settings."""

from urllib.parse import urlsplit

from app.config.settings import PlatformSettings
from app.factors.settings import FactorSettings
from app.mail.settings import MailSettings
from app.security.relying_party import RelyingParty
from app.text.origins import read_origin


def relying_party(
    settings: FactorSettings, mail: MailSettings, platform: PlatformSettings
) -> RelyingParty:
    urls = (frontend_page(mail) or platform.public_url, platform.public_url)
    rp_id, origins = settings.webauthn_rp_id, settings.webauthn_origins
    return RelyingParty.of(mail.product, urls, rp_id, origins)


def frontend_page(mail: MailSettings) -> str | None:
    """Returns FRONTEND_URL if it is that of a web page: links in emails may also open an app."""
    try:
        parts = urlsplit(mail.frontend_url or "")
        read_origin(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        return None
    return mail.frontend_url
