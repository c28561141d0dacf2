"""The templates of all emails that modules declare, in all languages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from jinja2 import Template

from app.errors import Misconfigured
from app.mail.emails import Email, ModuleEmails
from app.mail.services.template_compiler import TemplateCompiler, render_block
from app.mail.services.template_files import (
    BODY,
    DEFAULT_LOCALE,
    DURATION,
    FOOTER,
    SUBJECT,
    TemplateFile,
    files_in,
    kinds_of,
    missing_templates,
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
    """The rendered blocks of a template, which the layouts combine."""

    subject: str
    body: str
    footer: str


@dataclass(frozen=True, slots=True)
class Templates:
    """All declared emails, and their templates in all languages."""

    emails: Mapping[str, Email]
    # By the name of the file without a locale, then by locales in lower case.
    translations: Mapping[str, Mapping[str, Translation]]

    @classmethod
    def load(cls, modules: Sequence[ModuleEmails], overrides: Path | None) -> "Templates":
        """Compile every template, and check it with sample values.

        Args:
            modules: The emails and templates of modules.
            overrides: The folder of the operator, which has precedence; None if there is none.

        Raises:
            Misconfigured: one line for each template that is missing or invalid.

        """
        emails = _by_name(email for module in modules for email in module.emails)
        kinds = kinds_of(emails.values())
        shipped = [LAYOUTS_FOLDER, *(module.templates for module in modules)]
        folders = [*shipped, overrides] if overrides else shipped
        files: dict[tuple[str, str], TemplateFile] = {}
        for folder in folders:
            files |= files_in(folder, kinds)
        # The first folder of the compiler has precedence.
        compiler = TemplateCompiler(folders[::-1])
        errors = [*missing_templates(files, kinds)]
        translations: dict[str, dict[str, Translation]] = {name: {} for name in kinds}
        for (name, locale), file in files.items():
            try:
                template = compiler.compile(file.path.name, kinds[name])
            except Misconfigured as error:
                errors.append(str(error))
            else:
                found = Translation(file.locale, file.path, template)
                translations[name][locale] = found
        if errors:
            raise Misconfigured("\n".join(errors))
        return cls(emails, translations)

    @property
    def locales(self) -> frozenset[str]:
        """All languages of templates."""
        return frozenset(each.locale for name in self.emails for each in self.of(name))

    def of(self, name: str) -> Iterable[Translation]:
        """Returns the translations of an email's template."""
        return self.translations[f"{name}.txt"].values()

    def email(self, name: str) -> Email:
        """Returns the email of this name.

        Raises:
            UnknownEmail: no module declares it, but another release may.

        """
        if name not in self.emails:
            raise UnknownEmail
        return self.emails[name]

    def locale(self, email: Email, wanted: str | None) -> str:
        """Returns the locale of the template that is used for an email."""
        return self._translation(f"{email.name}.txt", wanted or DEFAULT_LOCALE).locale

    def blocks(self, email: Email, locale: str, values: Mapping[str, object]) -> Blocks:
        template = self._translation(f"{email.name}.txt", locale).template
        return Blocks(*(render_block(template, name, values) for name in (SUBJECT, BODY, FOOTER)))

    def layout(self, name: str, locale: str, values: Mapping[str, object]) -> str:
        return self._translation(name, locale).template.render(values)

    def phrase(self, locale: str) -> Phrase:
        """Returns a function that writes a duration in this locale."""
        template = self._translation(DURATION, locale).template

        def phrase(count: int, unit: str) -> str:
            return template.render(count=count, unit=unit).strip()

        return phrase

    def _translation(self, name: str, locale: str) -> Translation:
        translations = self.translations[name]
        matching = (tag for tag in shortened(locale.lower()) if tag in translations)
        return translations[next(matching, DEFAULT_LOCALE)]


def _by_name(emails: Iterable[Email]) -> dict[str, Email]:
    named: dict[str, Email] = {}
    for email in emails:
        if email.name in named:
            raise Misconfigured(f"Two modules declare an email named {email.name}.")
        named[email.name] = email
    return named
