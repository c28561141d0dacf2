"""Files of email templates: their names, their variables and blocks, and where they are."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from app.errors import Misconfigured
from app.mail.emails import COMMON_VARIABLES, LINK, Email
from app.text.languages import TAG

# The language of templates that have none in their name.
DEFAULT_LOCALE = "en"
LAYOUT_TEXT, LAYOUT_HTML, DURATION = "layout.txt", "layout.html", "duration.txt"
SUBJECT, BODY, FOOTER = "subject", "body", "footer"

# NAME.txt, or NAME.LOCALE.txt.
_FILE = re.compile(rf"([a-z0-9_]+)(?:\.((?i:{TAG})))?\.(txt|html)", re.ASCII)
SUFFIXES = {".txt", ".html"}
# Files with this prefix are only included by templates.
INCLUDED_PREFIX = "_"


class TemplateKind(NamedTuple):
    """The variables and blocks that all translations of a template have in common."""

    # The names of variables, with their meanings.
    variables: Mapping[str, str]
    # Required blocks.
    blocks: tuple[str, ...] = ()
    # Sample values of variables that are not texts.
    sample: Mapping[str, object] = {}


class TemplateFile(NamedTuple):
    # Without the locale.
    name: str
    locale: str
    path: Path


LAYOUT = TemplateKind(
    {
        "subject": "the subject of the email",
        "paragraphs": "the paragraphs of the body, a list",
        "link": LINK,
        "footer": "the last paragraph, or an empty text",
        **COMMON_VARIABLES,
    },
    sample={"paragraphs": ["text"]},
)
LAYOUTS: Mapping[str, TemplateKind] = {
    LAYOUT_TEXT: LAYOUT,
    LAYOUT_HTML: LAYOUT,
    DURATION: TemplateKind(
        {"count": "a number", "unit": "`day`, `hour`, `minute` or `second`"},
        sample={"count": 30, "unit": "minute"},
    ),
}


def kinds_of(emails: Iterable[Email]) -> dict[str, TemplateKind]:
    """Returns the kind of each template, by its file name without a locale."""
    declared = {
        f"{email.name}.txt": TemplateKind(email.described_variables, (SUBJECT, BODY))
        for email in emails
    }
    return {**declared, **LAYOUTS}


def files_in(
    folder: Path, kinds: Mapping[str, TemplateKind]
) -> dict[tuple[str, str], TemplateFile]:
    """Returns the templates in a folder by their names and locales.

    Raises:
        Misconfigured: there is no such folder, or a file in it is not a template: its name may
            be misspelled.

    """
    found: dict[tuple[str, str], TemplateFile] = {}
    for path in _paths(folder):
        file = _read_name(path, kinds)
        key = file.name, file.locale.lower()
        if key in found:
            raise template_error(path, None, f"{found[key].path.name} is the same template.")
        found[key] = file
    return found


def _paths(folder: Path) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        message = f"The folder of templates {folder} cannot be read: {error.strerror}."
        raise Misconfigured(message) from error
    for path in paths:
        if path.suffix in SUFFIXES and not path.name.startswith(INCLUDED_PREFIX):
            yield path


def _read_name(path: Path, kinds: Mapping[str, TemplateKind]) -> TemplateFile:
    match = _FILE.fullmatch(path.name)
    name = f"{match[1]}.{match[3]}" if match else path.name
    if match is None or name not in kinds:
        near = get_close_matches(name, kinds, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        message = f"No email has this template.{hint} `portico mail templates` lists all."
        raise template_error(path, None, message)
    return TemplateFile(name, match[2] or DEFAULT_LOCALE, path)


def missing_templates(
    files: Mapping[tuple[str, str], TemplateFile], kinds: Mapping[str, TemplateKind]
) -> Iterator[str]:
    for name in kinds:
        if (name, DEFAULT_LOCALE) not in files:
            yield f"The template {name} is missing."


def template_error(path: Path | str, line: int | None, message: str) -> Misconfigured:
    place = f"{path}, line {line}" if line else str(path)
    return Misconfigured(f"{place}: {message}")
