"""Declarations of emails: the template, its variables, and the page that its link leads to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, NewType

# Variables of every template.
PRODUCT_NAME = "the name of the product: `PRODUCT_NAME`"
TO = "the address that the email goes to"
LOCALE = "the locale of the email, such as `en`"
COMMON_VARIABLES = MappingProxyType({"product_name": PRODUCT_NAME, "to": TO, "locale": LOCALE})
# Variables of templates with a link.
LINK = "the link, or none if this email has none; the layout adds it below the body"
LIFETIME = "how long the link is valid, in words, such as `30 minutes`"
LINK_VARIABLES = MappingProxyType({"link": LINK, "lifetime": LIFETIME})
# Names that an email cannot declare as its own variables.
RESERVED = frozenset({*COMMON_VARIABLES, *LINK_VARIABLES, "token"})


@dataclass(frozen=True, slots=True, eq=False)
class Email:
    """An email that a module sends; its template is `{name}.txt`.

    Args:
        name: Unique among all modules; queued jobs and the templates of operators refer to it.
        link_setting: The setting with the page of the frontend that the link leads to, with
            `{token}` in it; None for an email without a link.
        variables: The email's own variables, each with its meaning for operators.

    """

    name: str
    link_setting: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        reserved = sorted(RESERVED & set(self.variables))
        if reserved:
            raise ValueError(f"{self.name} declares {', '.join(reserved)}, which all emails have")

    @property
    def described_variables(self) -> Mapping[str, str]:
        """All variables of the template, each with its meaning."""
        if self.link_setting is None:
            return {**COMMON_VARIABLES, **self.variables}
        return {**COMMON_VARIABLES, **LINK_VARIABLES, **self.variables}


class ModuleEmails(NamedTuple):
    """The emails of one module, and the folder of their templates."""

    emails: tuple[Email, ...]
    templates: Path


# The emails of every module.
AllEmails = NewType("AllEmails", tuple[ModuleEmails, ...])
