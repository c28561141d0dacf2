"""Emails as modules declare them: a template, its variables, and where the link leads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, NewType

# What every template may use.
PRODUCT_NAME = "the name of the product: `PRODUCT_NAME`"
TO = "the address that the email goes to"
LOCALE = "the locale of the email, such as `en`"
COMMON_VARIABLES = MappingProxyType({"product_name": PRODUCT_NAME, "to": TO, "locale": LOCALE})
# What templates with a link may use too.
LINK = "the link, or none if this email has none; the layout adds it below the body"
LIFETIME = "how long the link is valid, in words, such as `30 minutes`"
LINK_VARIABLES = MappingProxyType({"link": LINK, "lifetime": LIFETIME})
# What is put beside the values of an email's own variables.
RESERVED = frozenset({*COMMON_VARIABLES, *LINK_VARIABLES, "token"})


@dataclass(frozen=True, slots=True, eq=False)
class Email:
    """An email that a module sends, of the template `{name}.txt` among its templates.

    Args:
        name: Unique among all modules; jobs in the queue and operators' templates name it.
        link_setting: The setting that holds the page of the frontend that the link leads to, with
            `{token}` in it; None for an email without a link.
        variables: What the template may use beside what every template may: names, and for
            operators, what they mean.

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
        """All variables of the template, each with what it means."""
        if self.link_setting is None:
            return {**COMMON_VARIABLES, **self.variables}
        return {**COMMON_VARIABLES, **LINK_VARIABLES, **self.variables}


class ModuleEmails(NamedTuple):
    """The emails of one module, and the folder of their templates."""

    emails: tuple[Email, ...]
    templates: Path


# The emails of every module.
AllEmails = NewType("AllEmails", tuple[ModuleEmails, ...])
