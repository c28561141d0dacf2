"""The settings of the module `factors`."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

from app.config.lists import parts
from app.config.settings import UNSET
from app.text.origins import read_origin

# A host without scheme and port. WebAuthn allows no addresses.
DOMAIN = re.compile(r"localhost|[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]*", re.ASCII)
# The origin of an Android app: the SHA-256 of its certificate in base64url.
ANDROID_APP = re.compile(r"android:apk-key-hash:[A-Za-z0-9_-]{43}", re.ASCII)
NO_ORIGIN = "must name each origin, such as https://app.example.com"


def _origin(text: str) -> str:
    """Returns an origin as browsers send it."""
    if ANDROID_APP.fullmatch(text):
        return text
    if "*" in text:
        raise ValueError(NO_ORIGIN)
    try:
        return read_origin(text)
    except ValueError as invalid:
        # That error is about origins that may have a `*`.
        raise ValueError(NO_ORIGIN) from invalid


class FactorSettings(BaseModel):
    second_factor_required: Literal["off", "admins", "everybody"] = Field(
        default="off",
        description="who must have a second factor: who has none can sign in, but do nothing "
        "except enrolling one",
    )
    webauthn_rp_id: str | None = Field(
        default=None,
        description="the domain of passkeys: that of the pages that use them, or one above it, "
        "such as `example.com` for `https://app.example.com`. All passkeys are lost if it changes: "
        "the server does not start with passkeys of another domain",
        json_schema_extra={UNSET: "the host of `FRONTEND_URL`"},
    )
    webauthn_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="the pages that may use passkeys, separated by commas, such as "
        "`https://app.example.com`; for an Android app its `android:apk-key-hash:…`. Pages outside "
        "of the domain need [a file there](production.md#passkeys)",
        json_schema_extra={UNSET: "`FRONTEND_URL` and `PUBLIC_URL`"},
    )

    @field_validator("webauthn_origins", mode="before")
    @classmethod
    def _split_webauthn_origins(cls, value: object) -> object:
        return parts(value) if isinstance(value, str) else value

    @field_validator("webauthn_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_origin, value))

    @field_validator("webauthn_rp_id")
    @classmethod
    def _is_domain(cls, value: str | None) -> str | None:
        if value is not None and not DOMAIN.fullmatch(value):
            raise ValueError("must be a domain in lower case, such as example.com")
        return value
