"""Finds names in capital letters that are neither settings nor anything else that exists."""

import re
from collections.abc import Generator
from pathlib import Path

from app.config.sources import secret_files
from app.modules import modules_named, settings_class
from tests.docs.pages import SHELL, Block, prose, read
from tests.docs.places import ROOT

SPAN = re.compile(r"`([^`]+)`")
NAME = re.compile(r"(?<![\w./-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?!\w)")
USED = re.compile(r"\$\{?([A-Z_]+)")
ASSIGNED = re.compile(r"\b([A-Z_]+)=")
# Codes of errors, reasons of ends, and the settings of compose.yaml.
SOURCES = ("app/**/*.py", "deploy/**/*.yaml", "deploy/**/*.sh", "tests/support/run_postgres.py")
# OpenTelemetry, psql, Django, Keycloak, Python.
OTHERS = re.compile(r"OTEL_\w+|ON_ERROR_STOP|USE_TZ|UPDATE_PASSWORD|TYPE_CHECKING")
# Modules whose settings documents name too.
EXAMPLES = ("my_api.notes",)
# What docs/operators/settings.md says of names that are nearly those of settings.
NEARLY = {
    "CORS_ORIGIN",
    "DATABASE_HOST",
    "DATABASE_URL_2",
    "DATABSE_URL",
    "LOG_LEVELS",
    "MAIL_FROM_NAME",
    "THROTTLE_ACCOUNT_ADDRESS",
}


def known_names() -> set[str]:
    """Returns all settings, and every name in capital letters of the schema and the code."""
    kind = settings_class(modules_named(EXAMPLES))
    settings = {name.upper() for name in (*kind.model_fields, *secret_files(kind).values())}
    files = [ROOT / "schema.graphql", *(file for glob in SOURCES for file in ROOT.glob(glob))]
    return settings.union(NEARLY, *(_names_of(file) for file in files))


def unknown_names(name: str, source: str, known: set[str]) -> Generator[str]:
    """Returns one line for each name that does not exist, and is no variable of the page."""
    blocks = read(name, source).blocks
    own = {each for block in blocks for each in _own(block)}
    texts = [*SPAN.findall(prose(source)), *(block.text for block in blocks if not block.hidden)]
    found = {each for text in texts for each in NAME.findall(text)}
    for each in sorted(found - own - known):
        if not OTHERS.fullmatch(each):
            yield f"{name}: {each} is no setting, and nothing else that exists"


def _names_of(file: Path) -> set[str]:
    return set(NAME.findall(file.read_text(encoding="utf-8")))


def _own(block: Block) -> Generator[str]:
    """Returns the variables of the page itself: those that its commands use, or that set the scene.

    What a document only sets, another program reads: it may be a misspelled setting.
    """
    if block.language in SHELL:
        yield from USED.findall(block.text)
    if block.hidden:
        yield from ASSIGNED.findall(block.text)
