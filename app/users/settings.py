"""The settings of the module `users`."""

from typing import Annotated, Literal

from email_validator import EmailNotValidError
from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

from app.config.lists import parts
from app.text.email_addresses import ascii_domain


class UserSettings(BaseModel):
    email_verification: Literal["off", "required"] = Field(
        default="off",
        description="`required`: users sign in only after they have verified their address with "
        "the emailed link",
    )
    email_domains_allowed: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="special-use domains whose addresses are accepted too, with all domains below "
        "them, separated by commas, such as `corp.local,lan`; missing in an internal network: its "
        "addresses are refused",
    )

    @field_validator("email_domains_allowed", mode="before")
    @classmethod
    def _domains(cls, value: object) -> object:
        domains = parts(value) if isinstance(value, str) else ()
        try:
            return tuple(map(ascii_domain, domains))
        except EmailNotValidError:
            raise ValueError("must be domains with commas, such as corp.local,lan") from None
