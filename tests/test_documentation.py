"""The names and links in README.md, the READMEs of packages and docs/ exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(ROOT.glob("app/*/README.md")),
    *PAGES,
]

FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
# `app/db.py`, `tests/`, `app/*/models.py`, and with a name in it, as pytest writes it.
IN_REPOSITORY = re.compile(
    r"(?P<path>(?:app|tests|alembic|benchmarks|clients|deploy|docs|examples|\.ci)/[\w./*-]*)"
    r"(?:::(?P<name>[\w.]+))?"
)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)[^)]*\)")
IN_NAVIGATION = re.compile(r"^ *- ([\w/-]+\.md)$", re.MULTILINE)


def prose(document: Path) -> str:
    return FENCED.sub("", document.read_text(encoding="utf-8"))


def named_in(document: Path) -> Iterator[tuple[str, str | None]]:
    for text in IN_BACKTICKS.findall(prose(document)):
        match = IN_REPOSITORY.fullmatch(text)
        if match:
            yield match["path"], match["name"]


def exists(path: str, name: str | None) -> bool:
    if name is None:
        return any(ROOT.glob(path))
    file = ROOT / path
    return file.is_file() and defines(ast.parse(file.read_text(encoding="utf-8")), name.split("."))


def defines(tree: ast.AST, names: list[str]) -> bool:
    """Whether a function, class or constant has this name; `["A", "b"]` is `b` in the class `A`."""
    first, *rest = names
    return any(
        first in names_of(each) and (not rest or defines(each, rest))
        for each in ast.iter_child_nodes(tree)
    )


def names_of(node: ast.AST) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Assign(targets=targets):
            return [each.id for each in targets if isinstance(each, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def label(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_files_and_names_in_a_document_exist(document: Path) -> None:
    assert [named for named in named_in(document) if not exists(*named)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_links_of_a_document_exist(document: Path) -> None:
    links = LINK.findall(prose(document))

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_a_page_links_to_no_file_outside_the_documentation(page: Path) -> None:
    targets = [(page.parent / link).resolve() for link in LINK.findall(prose(page))]

    assert [target for target in targets if not target.is_relative_to(DOCS)] == []


def test_the_navigation_lists_each_page_once() -> None:
    navigation = IN_NAVIGATION.findall((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    assert sorted(navigation) == [page.relative_to(DOCS).as_posix() for page in PAGES]


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
