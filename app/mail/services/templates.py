"""The templates of all emails that modules declare, in all languages that there are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from jinja2 import Template

from app.errors import Misconfigured
from app.mail.emails import Email, ModuleEmails
from app.mail.services.template_compiler import Compiler, render_block
from app.mail.services.template_files import (
    BODY,
    DEFAULT_LOCALE,
    DURATION,
    FOOTER,
    SUBJECT,
    TemplateFile,
    files_in,
    kinds_of,
    missing,
)
from app.text.durations import Phrase
from app.text.languages import shortened

LAYOUTS_FOLDER = Path(__file__).parents[1] / "templates"


class UnknownEmail(LookupError):
    """No module declares an email of this name."""


class Translation(NamedTuple):
    """A template in one language."""

    locale: str
    path: Path
    template: Template


class Blocks(NamedTuple):
    """What the template of one email says; the layouts put it together."""

    subject: str
    body: str
    footer: str


@dataclass(frozen=True, slots=True)
class Templates:
    """All emails that are declared, and their templates in all languages that there are."""

    emails: Mapping[str, Email]
    # By the name of the file without a locale, then by locales in lower case.
    translations: Mapping[str, Mapping[str, Translation]]

    @classmethod
    def load(cls, modules: Sequence[ModuleEmails], overrides: Path | None) -> "Templates":
        """Compile every template and try it with sample values.

        Args:
            modules: Emails and templates that modules bring.
            overrides: The folder of the operator, whose files go first; None if there is none.

        Raises:
            Misconfigured: a line for each template that is missing or wrong.

        """
        emails = _by_name(email for module in modules for email in module.emails)
        kinds = kinds_of(emails.values())
        shipped = [LAYOUTS_FOLDER, *(module.templates for module in modules)]
        folders = [*shipped, overrides] if overrides else shipped
        files: dict[tuple[str, str], TemplateFile] = {}
        for folder in folders:
            files |= files_in(folder, kinds)
        # The loader looks into the first folder first.
        compiler = Compiler(folders[::-1])
        faults = [*missing(files, kinds)]
        translations: dict[str, dict[str, Translation]] = {name: {} for name in kinds}
        for (name, locale), file in files.items():
            try:
                template = compiler.compile(file.path.name, kinds[name])
            except Misconfigured as fault:
                faults.append(str(fault))
            else:
                found = Translation(file.locale, file.path, template)
                translations[name][locale] = found
        if faults:
            raise Misconfigured("\n".join(faults))
        return cls(emails, translations)

    @property
    def locales(self) -> frozenset[str]:
        """All languages in which there is a template."""
        return frozenset(each.locale for name in self.emails for each in self.of(name))

    def of(self, name: str) -> Iterable[Translation]:
        """Returns the translations of an email's template."""
        return self.translations[f"{name}.txt"].values()

    def email(self, name: str) -> Email:
        """Returns the email of this name.

        Raises:
            UnknownEmail: no module declares it: another release may know it.

        """
        if name not in self.emails:
            raise UnknownEmail
        return self.emails[name]

    def locale(self, email: Email, wanted: str | None) -> str:
        """Returns the locale of the template that an email is written by."""
        return self._chosen(f"{email.name}.txt", wanted or DEFAULT_LOCALE).locale

    def blocks(self, email: Email, locale: str, values: Mapping[str, object]) -> Blocks:
        template = self._chosen(f"{email.name}.txt", locale).template
        return Blocks(*(render_block(template, name, values) for name in (SUBJECT, BODY, FOOTER)))

    def layout(self, name: str, locale: str, values: Mapping[str, object]) -> str:
        return self._chosen(name, locale).template.render(values)

    def phrase(self, locale: str) -> Phrase:
        """Returns what writes a number of units of time in this locale."""
        template = self._chosen(DURATION, locale).template

        def phrase(count: int, unit: str) -> str:
            return template.render(count=count, unit=unit).strip()

        return phrase

    def _chosen(self, name: str, locale: str) -> Translation:
        translations = self.translations[name]
        fitting = (tag for tag in shortened(locale.lower()) if tag in translations)
        return translations[next(fitting, DEFAULT_LOCALE)]


def _by_name(emails: Iterable[Email]) -> dict[str, Email]:
    named: dict[str, Email] = {}
    for email in emails:
        if email.name in named:
            raise Misconfigured(f"Two modules declare an email named {email.name}.")
        named[email.name] = email
    return named
